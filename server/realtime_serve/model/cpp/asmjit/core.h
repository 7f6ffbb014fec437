// What FBGEMM's headers, which torch brings, name of asmjit, which it does not: types that nothing here uses.

#pragma once

#define ASMJIT_LIBRARY_MAKE_VERSION(major, minor, patch) (((major) << 16) | ((minor) << 8) | (patch))
#define ASMJIT_LIBRARY_VERSION ASMJIT_LIBRARY_MAKE_VERSION(1, 16, 0)

namespace asmjit::x86 {
class Xmm;
class Ymm;
class Zmm;
}  // namespace asmjit::x86
