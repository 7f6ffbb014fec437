// Few rows times a weight in float16, which lies as FBGEMM packs it: at the pace at which memory gives the
// weight, and to the bits that FBGEMM would give. See ../native.py.

#include <ATen/native/quantized/PackedParams.h>
#ifdef USE_FBGEMM
#include <ATen/native/quantized/cpu/fbgemm_utils.h>
#endif
#include <ATen/ops/empty.h>

namespace {

#ifdef USE_FBGEMM
constexpr int64_t FEW = WIDTH == 16 ? 8 : 4;  // rows whose sums stay in registers
constexpr int64_t AHEAD = 4096;               // bytes: no processor fetches beyond a page of memory unasked
constexpr int64_t COLUMNS = 2 * WIDTH;        // that lie beside each other

using Weight = fbgemm::PackedGemmMatrixFP16;

// ROWS x COLUMNS of the answer. tokens: [ROWS, size]; block: which columns; found: zeros
template <int64_t ROWS>
void multiply_columns(const Weight& weight, const float* tokens, int64_t block, float* found) {
  const int64_t size = weight.numRows(), height = weight.blockRowSize();
  const bool whole = (block + 1) * COLUMNS <= weight.numCols();
  Floats sums[ROWS][2];
  for (auto& of_row : sums) std::fill(of_row, of_row + 2, Floats(0));
  for (int64_t begin = 0; begin < size; begin += height) {
    const int64_t end = std::min(size, begin + height);
    const auto* from = reinterpret_cast<const c10::Half*>(weight.pmat()) +
                       (begin * weight.numBcol() + block * (end - begin)) * COLUMNS;
    for (int64_t number = begin; number < end; ++number, from += COLUMNS) {
      __builtin_prefetch(reinterpret_cast<const char*>(from) + AHEAD);
      const Floats left = widen(from), right = widen(from + WIDTH);
      for (int64_t row = 0; row < ROWS; ++row) {
        const Floats token(tokens[row * size + number]);
        sums[row][0] = at::vec::fmadd(token, left, sums[row][0]);
        sums[row][1] = at::vec::fmadd(token, right, sums[row][1]);
      }
    }
    if (whole && end < size) continue;
    for (int64_t sum = 0; sum < 2 * ROWS; ++sum) {
      (Floats::loadu(found + sum * WIDTH) + sums[sum / 2][sum % 2]).store(found + sum * WIDTH);
      sums[sum / 2][sum % 2] = Floats(0);
    }
  }
}

template <int64_t ROWS>
void multiply_rows(const Weight& weight, const float* tokens, float* answers) {
  const int64_t width = weight.numCols();
#pragma omp parallel for schedule(static)
  for (int64_t block = 0; block < weight.numBcol(); ++block) {
    float found[ROWS * COLUMNS] = {};
    multiply_columns<ROWS>(weight, tokens, block, found);
    const int64_t first = block * COLUMNS, count = std::min(COLUMNS, width - first);
    for (int64_t row = 0; row < ROWS; ++row) {
      std::copy(found + row * COLUMNS, found + row * COLUMNS + count, answers + row * width + first);
    }
  }
}

template <int64_t ROWS = 1>
void multiply_few(int64_t rows, const Weight& weight, const float* tokens, float* answers) {
  if (rows == ROWS) return multiply_rows<ROWS>(weight, tokens, answers);
  if constexpr (ROWS < FEW) multiply_few<ROWS + 1>(rows, weight, tokens, answers);
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
    multiply_few(rows, weight, inputs.const_data_ptr<float>(), answers.mutable_data_ptr<float>());
    return answers;
  }
#endif
  return layer.apply_dynamic(tokens);
}

}  // namespace
