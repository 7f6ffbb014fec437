// Few rows times a weight in float16, which lies as FBGEMM packs it: at the pace at which memory gives the
// weight, and to the bits that FBGEMM would give. See ../native.py.

#include <ATen/native/quantized/PackedParams.h>
#ifdef USE_FBGEMM
#include <ATen/native/quantized/cpu/fbgemm_utils.h>
#endif
#include <ATen/ops/empty.h>

namespace {

#ifdef USE_FBGEMM
constexpr int64_t FEW = WIDTH == 16 ? 64 : 4;   // rows; for more FBGEMM is as fast
constexpr int64_t TILE = WIDTH == 16 ? 14 : 4;  // rows whose sums stay in registers
constexpr int64_t AHEAD = 4096;                 // bytes: no processor fetches beyond a page of memory unasked
constexpr int64_t COLUMNS = 2 * WIDTH;          // that lie beside each other

using Weight = fbgemm::PackedGemmMatrixFP16;

// ROW... x COLUMNS of the answer. tokens: [ROW..., size]; block: which columns; found: zeros
template <int64_t... ROW>
void multiply_columns(const Weight& weight, const float* tokens, int64_t block, float* found) {
  const int64_t size = weight.numRows(), height = weight.blockRowSize();
  const bool whole = (block + 1) * COLUMNS <= weight.numCols();
  Floats sums[sizeof...(ROW)][2] = {{(static_cast<void>(ROW), Floats(0)), Floats(0)}...};
  for (int64_t begin = 0; begin < size; begin += height) {
    const int64_t end = std::min(size, begin + height);
    const auto* from = reinterpret_cast<const c10::Half*>(weight.pmat()) +
                       (begin * weight.numBcol() + block * (end - begin)) * COLUMNS;
    for (int64_t number = begin; number < end; ++number, from += COLUMNS) {
      __builtin_prefetch(reinterpret_cast<const char*>(from) + AHEAD);
      const Floats left = widen(from), right = widen(from + WIDTH);
      const auto add = [&](const float* token, Floats& to_left, Floats& to_right) {
        to_left = at::vec::fmadd(Floats(*token), left, to_left);
        to_right = at::vec::fmadd(Floats(*token), right, to_right);
      };
      (add(tokens + ROW * size + number, sums[ROW][0], sums[ROW][1]), ...);
    }
    if (whole && end < size) continue;
    const auto put = [](Floats& sum, float* to) {
      (Floats::loadu(to) + sum).store(to);
      sum = Floats(0);
    };
    (put(sums[ROW][0], found + ROW * COLUMNS), ...);
    (put(sums[ROW][1], found + ROW * COLUMNS + WIDTH), ...);
  }
}

// The loops over rows are written out, since compilers keep the sums of longer ones in memory.
template <int64_t... ROW>
constexpr auto for_rows(std::integer_sequence<int64_t, ROW...>) {
  return multiply_columns<ROW...>;
}

template <int64_t... LESS>
auto for_count(int64_t rows, std::integer_sequence<int64_t, LESS...>) {
  static constexpr decltype(&multiply_columns<0>) all[] = {
      for_rows(std::make_integer_sequence<int64_t, LESS + 1>())...};
  return all[rows - 1];
}

void multiply_rows(int64_t rows, const Weight& weight, const float* tokens, float* answers) {
  const int64_t width = weight.numCols(), tiles = (rows + TILE - 1) / TILE;
#pragma omp parallel for schedule(static)
  for (int64_t block = 0; block < weight.numBcol(); ++block) {
    const int64_t column = block * COLUMNS, count = std::min(COLUMNS, width - column);
    for (int64_t tile = 0; tile < tiles; ++tile) {
      const int64_t first = tile * rows / tiles, end = (tile + 1) * rows / tiles;
      float found[TILE * COLUMNS] = {};
      const auto multiply = for_count(end - first, std::make_integer_sequence<int64_t, TILE>());
      multiply(weight, tokens + first * weight.numRows(), block, found);
      for (int64_t row = first; row < end; ++row) {
        const float* from = found + (row - first) * COLUMNS;
        std::copy(from, from + count, answers + row * width + column);
      }
    }
  }
}
#endif

// [..., in] → [..., out], both float32
at::Tensor multiply_half(LinearPackedParamsBase& layer, const at::Tensor& tokens) {
#ifdef USE_FBGEMM
  const Weight& weight = *static_cast<PackedLinearWeightFp16&>(layer).w;
  const int64_t rows = tokens.numel() / weight.numRows();
  if (rows > 0 && rows <= FEW && weight.blockColSize() == COLUMNS) {
    const at::Tensor inputs = tokens.contiguous();
    auto sizes = inputs.sizes().vec();
    sizes.back() = weight.numCols();
    at::Tensor answers = at::empty(sizes, inputs.options());
    multiply_rows(rows, weight, inputs.const_data_ptr<float>(), answers.mutable_data_ptr<float>());
    return answers;
  }
#endif
  return layer.apply_dynamic(tokens);
}

}  // namespace
