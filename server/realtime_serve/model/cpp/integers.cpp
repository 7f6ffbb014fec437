// Rows times a weight, both as integers of 16 bits with a scale for each block of them. See ../orders.py.

#include <ATen/ops/empty.h>
#include <ATen/ops/zeros.h>

#include <bit>

namespace {

constexpr int64_t BLOCK = 128;  // numbers of a row that have one scale
constexpr int64_t PAIRS = BLOCK / 2;
static_assert(SLICE % PAIRS == 0);
constexpr float MOST_OF_TOKEN = 8191, MOST_OF_WEIGHT = 32767;
constexpr float MOST_OF_BLOCK = 262000;  // of a weight's, summed, so that no sum of products leaves 32 bits
static_assert((MOST_OF_BLOCK + BLOCK / 2) * MOST_OF_TOKEN < 2147483648.0);

// What numbers are multiplied with before they are rounded. Less than the least scale counts as nothing.
float factor_of(float scale) { return scale > 1e-30f ? 1 / scale : 0; }

// With this added, a number's last bits are those of the nearest integer.
constexpr float TO_NEAREST = 12582912;

Floats load(const float* numbers, int64_t count) {
  return count < WIDTH ? Floats::loadu(numbers, std::max<int64_t>(count, 0)) : Floats::loadu(numbers);
}

// By their bits, which are ordered as the numbers are, and what is no number beyond infinity: so that it
// comes out again.
float largest(const float* numbers, int64_t count) {
  Wholes most(0);
  for (int64_t n = 0; n < count; n += WIDTH)
    most = at::vec::maximum(most, at::vec::cast<int32_t>(load(numbers + n, count - n).abs()));
  int32_t lanes[WIDTH];
  most.store(lanes);
  return std::bit_cast<float>(*std::max_element(lanes, lanes + WIDTH));
}

void round_token(const float* token, int64_t size, int64_t rows, int32_t* pairs, float* scales) {
  for (int64_t begin = 0; begin < size; begin += BLOCK, pairs += rows * PAIRS, scales += rows) {
    const float* from = token + begin;
    const int64_t count = std::min(BLOCK, size - begin);
    *scales = largest(from, count) / MOST_OF_TOKEN;
    const Floats factor(factor_of(*scales)), to_nearest(TO_NEAREST);
    for (int64_t n = 0; n < count; n += 2 * WIDTH) {
      const Floats one = load(from + n, count - n), other = load(from + n + WIDTH, count - n - WIDTH);
      const Wholes low = at::vec::cast<int32_t>(one * factor + to_nearest) & Wholes(0xffff);
      const Wholes high = at::vec::cast<int32_t>(other * factor + to_nearest) << Wholes(16);
      (low | high).store(pairs + n / 2);
    }
  }
}

// One output's: [size]
void round_output(const float* weight, int64_t size, int32_t* pairs, float* scales) {
  for (int64_t begin = 0; begin < size; begin += BLOCK, scales += PANEL) {
    const int64_t count = std::min(BLOCK, size - begin);
    float sum = 0;
    for (int64_t n = 0; n < count; ++n) sum += std::abs(weight[begin + n]);
    *scales = std::max(sum / MOST_OF_BLOCK, largest(weight + begin, count) / MOST_OF_WEIGHT);
    const float factor = factor_of(*scales);
    for (int64_t number = begin; number < begin + count; ++number) {
      const int64_t pair = number / (2 * WIDTH) * WIDTH + number % WIDTH;
      const auto bits = std::bit_cast<uint32_t>(weight[number] * factor + TO_NEAREST) & 0xffff;
      pairs[pair * PANEL] |= static_cast<int32_t>(number / WIDTH % 2 ? bits << 16 : bits);
    }
  }
}

// Of each lane's two numbers of 16 bits.
Wholes add_products(Wholes sum, Wholes left, Wholes right) {
#if defined(CPU_CAPABILITY_AVX512) && defined(__AVX512VNNI__)
  __m512i found = sum;  // as an intrinsic, compilers keep the sums of more than a few rows in memory
  asm("vpdpwssd %2, %1, %0"
      : "+v"(found)
      : "v"(static_cast<__m512i>(left)), "v"(static_cast<__m512i>(right)));
  return found;
#elif defined(CPU_CAPABILITY_AVX512)
  return sum + Wholes(_mm512_madd_epi16(left, right));
#elif defined(CPU_CAPABILITY_AVX2)
  return sum + Wholes(_mm256_madd_epi16(left, right));
#else
  int32_t sums[WIDTH], ones[WIDTH], others[WIDTH];
  sum.store(sums), left.store(ones), right.store(others);
  for (int64_t lane = 0; lane < WIDTH; ++lane)
    sums[lane] += (ones[lane] >> 16) * (others[lane] >> 16) +
                  static_cast<int16_t>(ones[lane]) * static_cast<int16_t>(others[lane]);
  return Wholes::loadu(sums);
#endif
}

// [panels, pairs, PANEL] and [panels, blocks, PANEL]. A pair is two numbers of a row, WIDTH from each other.
struct Integers {
  int64_t size, width;
  at::Tensor pairs, scales;

  // [blocks, rows, PAIRS] and [blocks, rows]
  struct Tokens {
    const int32_t* pairs;
    const float* scales;
    int64_t rows;

    Tokens from(int64_t row, int64_t pair) const {
      const int64_t place = pair / PAIRS * rows + row;
      return {pairs + place * PAIRS, scales + place, rows};
    }
  };

  struct Slice : ::Slice {
    const float* scales;
  };

  int64_t pair_count() const { return (size + 2 * WIDTH - 1) / (2 * WIDTH) * WIDTH; }
  int64_t blocks() const { return (size + BLOCK - 1) / BLOCK; }

  Slice slice(int64_t panel, int64_t begin, int64_t count) const {
    const auto* of_panel = scales.const_data_ptr<float>() + panel * blocks() * PANEL;
    return {{pairs.const_data_ptr<int32_t>() + (panel * pair_count() + begin) * PANEL, count},
            of_panel + begin / PAIRS * PANEL};
  }

  template <int64_t... ROW>
  static void add(const Slice& slice, Tokens tokens, Fetch fetch, float* found) {
    const int32_t* pairs = slice.pairs;
    const float* scales = slice.scales;
    for (int64_t left = slice.count; left > 0; left -= PAIRS, scales += PANEL) {
      Wholes sums[sizeof...(ROW)][VECTORS] = {{(static_cast<void>(ROW), Wholes(0)), Wholes(0), Wholes(0)}...};
      const int64_t count = std::min(left, PAIRS);
      for (int64_t pair = 0; pair < count; ++pair, pairs += PANEL) {
        fetch.next();
        const Wholes weights[VECTORS] = {Wholes::loadu(pairs), Wholes::loadu(pairs + WIDTH),
                                         Wholes::loadu(pairs + 2 * WIDTH)};
        const auto add_row = [&](int32_t token, Wholes* to) {
          for (int64_t n = 0; n < VECTORS; ++n) to[n] = add_products(to[n], weights[n], Wholes(token));
        };
        (add_row(tokens.pairs[ROW * PAIRS + pair], sums[ROW]), ...);
      }
      const auto put = [&](const Wholes* from, float scale, float* to) {
        for (int64_t n = 0; n < VECTORS; ++n) {
          const Floats product = Floats::loadu(scales + n * WIDTH) * Floats(scale);
          const Floats sum = Floats::loadu(to + n * WIDTH);
          at::vec::fmadd(at::vec::convert<float>(from[n]), product, sum).store(to + n * WIDTH);
        }
      };
      (put(sums[ROW], tokens.scales[ROW], found + ROW * PANEL), ...);
      tokens.pairs += tokens.rows * PAIRS;
      tokens.scales += tokens.rows;
    }
  }
};

// weight: [out, in], float32
Integers round_weight(const at::Tensor& weight) {
  Integers rounded{weight.size(1), weight.size(0), {}, {}};
  const int64_t of_panel = rounded.pair_count() * PANEL, scales_of_panel = rounded.blocks() * PANEL;
  const int64_t panels = panel_count(rounded.width);
  rounded.pairs = at::zeros({panels * of_panel}, weight.options().dtype(at::kInt));
  rounded.scales = at::zeros({panels * scales_of_panel}, weight.options());
  const float* from = weight.const_data_ptr<float>();
  auto* pairs = rounded.pairs.mutable_data_ptr<int32_t>();
  auto* scales = rounded.scales.mutable_data_ptr<float>();
#pragma omp parallel for
  for (int64_t output = 0; output < rounded.width; ++output) {
    const int64_t panel = output / PANEL, place = output % PANEL;
    round_output(from + output * rounded.size, rounded.size, pairs + panel * of_panel + place,
                 scales + panel * scales_of_panel + place);
  }
  return rounded;
}

template <typename T>
T* room(std::vector<T>& kept, int64_t count) {
  if (std::ssize(kept) < count) kept.resize(count);
  return kept.data();
}

// [..., in] → [..., out], both float32
at::Tensor multiply(const Integers& weight, const at::Tensor& tokens) {
  const at::Tensor inputs = tokens.contiguous();
  const int64_t rows = inputs.numel() / weight.size;
  auto sizes = inputs.sizes().vec();
  sizes.back() = weight.width;
  at::Tensor answers = at::empty(sizes, inputs.options());
  static thread_local std::vector<int32_t> pairs;  // kept: steps ask for the same again and again
  static thread_local std::vector<float> scales;
  int32_t* to_pairs = room(pairs, weight.blocks() * rows * PAIRS);
  float* to_scales = room(scales, weight.blocks() * rows);
  const float* from = inputs.const_data_ptr<float>();
  auto* to = answers.mutable_data_ptr<float>();
  const auto round = [&](int64_t row) {
    round_token(from + row * weight.size, weight.size, rows, to_pairs + row * PAIRS, to_scales + row);
  };
  const Integers::Tokens all{to_pairs, to_scales, rows};
  const bool alone = rows < 4;  // to meet the other threads takes longer
  for (int64_t row = 0; alone && row < rows; ++row) round(row);
#pragma omp parallel
  {
    if (!alone) {
#pragma omp for
      for (int64_t row = 0; row < rows; ++row) round(row);
    }
    multiply_panels(weight, all, rows, to);
  }
  return answers;
}

}  // namespace
