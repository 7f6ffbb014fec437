// Rows times a weight, both in bfloat16, summed in float32. See ../orders.py.

#include <ATen/ops/constant_pad_nd.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/zeros.h>

#include <cstring>

namespace {

using c10::BFloat16;

// Of each lane's two numbers, the first in the lower bits.
Floats add_pairs(Floats sum, Wholes left, Wholes right) {
#if defined(CPU_CAPABILITY_AVX512) && defined(__AVX512BF16__)
  __m512 found = sum;  // as an intrinsic, compilers keep the sums of more than a few rows in memory
  asm("vdpbf16ps %2, %1, %0"
      : "+v"(found)
      : "v"(static_cast<__m512i>(left)), "v"(static_cast<__m512i>(right)));
  return found;
#else
  const Wholes upper(static_cast<int32_t>(0xffff0000));
  const auto high = [&](Wholes pair) { return at::vec::cast<float>(pair & upper); };
  const auto low = [&](Wholes pair) { return at::vec::cast<float>(pair << Wholes(16)); };
  return at::vec::fmadd(high(left), high(right), at::vec::fmadd(low(left), low(right), sum));
#endif
}

// [panels, pairs, PANEL]. A pair is two numbers of a row that follow each other.
struct Bfloats {
  int64_t size, width;
  at::Tensor pairs;

  // [rows, stride] pairs
  struct Tokens {
    const BFloat16* first;
    int64_t stride;

    Tokens from(int64_t row, int64_t pair) const { return {first + 2 * (row * stride + pair), stride}; }
    Wholes operator()(int64_t row, int64_t pair) const {
      int32_t found;
      std::memcpy(&found, first + 2 * (row * stride + pair), sizeof(found));
      return Wholes(found);
    }
  };

  int64_t pair_count() const { return (size + 1) / 2; }

  Slice slice(int64_t panel, int64_t begin, int64_t count) const {
    return {pairs.const_data_ptr<int32_t>() + (panel * pair_count() + begin) * PANEL, count};
  }

  template <int64_t... ROW>
  static void add(const Slice& slice, Tokens tokens, Fetch fetch, float* found) {
    const auto before = [&](int64_t row, int64_t n) {
      return Floats::loadu(found + row * PANEL + n * WIDTH);
    };
    Floats sums[sizeof...(ROW)][VECTORS] = {{before(ROW, 0), before(ROW, 1), before(ROW, 2)}...};
    const int32_t* pairs = slice.pairs;
    for (int64_t pair = 0; pair < slice.count; ++pair, pairs += PANEL) {
      fetch.next();
      const Wholes weights[VECTORS] = {Wholes::loadu(pairs), Wholes::loadu(pairs + WIDTH),
                                       Wholes::loadu(pairs + 2 * WIDTH)};
      const auto add_row = [&](Wholes token, Floats* to) {
        for (int64_t n = 0; n < VECTORS; ++n) to[n] = add_pairs(to[n], weights[n], token);
      };
      (add_row(tokens(ROW, pair), sums[ROW]), ...);
    }
    const auto put = [&](const Floats* from, float* to) {
      for (int64_t n = 0; n < VECTORS; ++n) from[n].store(to + n * WIDTH);
    };
    (put(sums[ROW], found + ROW * PANEL), ...);
  }
};

// weight: [out, in], bfloat16
Bfloats lay_bfloats(const at::Tensor& weight) {
  Bfloats laid{weight.size(1), weight.size(0), {}};
  laid.pairs =
      at::zeros({panel_count(laid.width) * laid.pair_count() * PANEL}, weight.options().dtype(at::kInt));
  const auto* from = weight.const_data_ptr<BFloat16>();
  auto* to = laid.pairs.mutable_data_ptr<int32_t>();
#pragma omp parallel for
  for (int64_t output = 0; output < laid.width; ++output) {
    int32_t* column = to + output / PANEL * laid.pair_count() * PANEL + output % PANEL;
    for (int64_t number = 0; number < laid.size; ++number) {
      const int32_t bits = from[output * laid.size + number].x;
      column[number / 2 * PANEL] |= number % 2 ? bits << 16 : bits;
    }
  }
  return laid;
}

// [..., in] → [..., out], both bfloat16
at::Tensor multiply(const Bfloats& weight, const at::Tensor& tokens) {
  const at::Tensor even = weight.size % 2 ? at::constant_pad_nd(tokens, {0, 1}) : tokens;
  const at::Tensor inputs = even.contiguous();
  auto sizes = tokens.sizes().vec();
  sizes.back() = weight.width;
  at::Tensor answers = at::empty(sizes, inputs.options());
  const Bfloats::Tokens all{inputs.const_data_ptr<BFloat16>(), weight.pair_count()};
  const int64_t rows = inputs.numel() / (2 * weight.pair_count());
  auto* to = answers.mutable_data_ptr<BFloat16>();
#pragma omp parallel
  multiply_panels(weight, all, rows, to);
  return answers;
}

}  // namespace
