// Rows times a weight that lies in panels of outputs: how both are passed, whatever the kind of their
// numbers. See ../orders.py.

#include <ATen/core/Tensor.h>

#include <utility>

namespace {

using Wholes = at::vec::Vectorized<int32_t>;

constexpr int64_t VECTORS = 3;
static_assert(VECTORS == 3);  // written out where sums begin, and one forgotten would go unnoticed
constexpr int64_t PANEL = VECTORS * WIDTH;     // outputs whose weights lie beside each other
constexpr int64_t TILE = WIDTH == 16 ? 8 : 3;  // rows whose sums stay in registers
constexpr int64_t SLICE = 128;            // pairs of a panel that stay in the first cache while tiles pass
constexpr int64_t GROUP = 16 * TILE;      // rows whose answers do so too
constexpr int64_t PAGE_OF_MEMORY = 4096;  // bytes: no processor fetches beyond a page of memory unasked

int64_t panel_count(int64_t width) { return (width + PANEL - 1) / PANEL; }

// What the processor fetches while it multiplies: so many bytes for each pair.
struct Fetch {
  const char* from;
  int64_t step;

  void next() {
    fetch(from, step);
    from += step;
  }
};

// Pairs of a panel's weights, [count, PANEL]: each is two numbers of a row that are multiplied at once.
struct Slice {
  const int32_t* pairs;
  int64_t count;

  // Tiles that share it bring the one behind it, a part each. One alone waits for its own.
  Fetch fetch(int64_t tile, int64_t tiles) const {
    const int64_t step = (PANEL * 4 + tiles - 1) / tiles;
    const auto* bytes = reinterpret_cast<const char*>(pairs);
    return tiles == 1 ? Fetch{bytes + PAGE_OF_MEMORY, step}
                      : Fetch{bytes + (PANEL * 4 + tile * step) * count, step};
  }
};

// A kind tells how sums of ROW... x PANEL are made of a slice and added to found:
// Kind::Slice, Kind::Tokens, and Kind::add<ROW...>(slice, tokens, fetch, found).
// The loops over rows are written out, since compilers keep the sums of longer ones in memory.
template <typename Kind, int64_t... ROW>
constexpr auto for_rows(std::integer_sequence<int64_t, ROW...>) {
  return Kind::template add<ROW...>;
}

template <typename Kind, int64_t... LESS>
auto for_count(int64_t rows, std::integer_sequence<int64_t, LESS...>) {
  static constexpr decltype(&Kind::template add<0>) all[] = {
      for_rows<Kind>(std::make_integer_sequence<int64_t, LESS + 1>())...};
  return all[rows - 1];
}

// count rows of the tokens, a group at most; answers: the group's first.
template <typename Kind, typename Number>
void multiply_group(const Kind& weight, int64_t panel, const typename Kind::Tokens& tokens, int64_t count,
                    Number* answers) {
  const int64_t tiles = (count + TILE - 1) / TILE;
  float found[GROUP * PANEL];
  std::fill(found, found + count * PANEL, 0.0f);
  for (int64_t pair = 0; pair < weight.pair_count(); pair += SLICE) {
    const auto slice = weight.slice(panel, pair, std::min(SLICE, weight.pair_count() - pair));
    for (int64_t tile = 0; tile < tiles; ++tile) {
      const int64_t first = tile * count / tiles, end = (tile + 1) * count / tiles;
      for_count<Kind>(end - first, std::make_integer_sequence<int64_t, TILE>())(
          slice, tokens.from(first, pair), slice.fetch(tile, tiles), found + first * PANEL);
    }
  }
  const int64_t column = panel * PANEL, width = std::min(PANEL, weight.width - column);
  for (int64_t row = 0; row < count; ++row)
    at::vec::convert(found + row * PANEL, answers + row * weight.width + column, width);
}

// Called by all threads, which share it out.
template <typename Kind, typename Number>
void multiply_panels(const Kind& weight, const typename Kind::Tokens& tokens, int64_t rows, Number* answers) {
  const int64_t groups = (rows + GROUP - 1) / GROUP, panels = panel_count(weight.width);
#pragma omp for collapse(2) nowait
  for (int64_t group = 0; group < groups; ++group)
    for (int64_t panel = 0; panel < panels; ++panel) {
      const int64_t first = group * rows / groups, end = (group + 1) * rows / groups;
      multiply_group(weight, panel, tokens.from(first, 0), end - first, answers + first * weight.width);
    }
}

}  // namespace
