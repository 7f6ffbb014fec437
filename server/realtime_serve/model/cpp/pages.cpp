// A step's rows and the pages that they see: how both lie, and how they are read and written.

#include <ATen/cpu/vec/functional.h>

#include <algorithm>
#include <cstdint>

namespace {

using Floats = at::vec::Vectorized<float>;

constexpr int64_t WIDTH = Floats::size();
constexpr int64_t PAGE = PAGE_TOKENS;
static_assert(PAGE % WIDTH == 0);

// Of a step, one behind the other, each of one token or more.
struct Rows {
  int64_t count, most_pages, window;  // window 0: none
  const int32_t* table;               // [count, most_pages]
  const int32_t* lengths;             // [count]: tokens that a row's last one sees, itself among them
  const int32_t* firsts;              // [count + 1]: the place in the step of each row's first token
};

struct Heads {
  int64_t count, shared, key_size, value_size;
  float scale;
};

// Of a step's tokens: [heads, tokens, size], the numbers of a token beside each other.
template <typename T>
struct Fresh {
  const T* first;
  int64_t head_stride, token_stride;

  const T* of(int64_t head, int64_t token) const { return first + head * head_stride + token * token_stride; }
};

template <typename T>
Floats widen(const T* from) {
  if constexpr (std::is_same_v<T, float>) {
    return Floats::loadu(from);
  } else {
    Floats wide;
    at::vec::load_to_float(from, wide);
    return wide;
  }
}

// Into the second cache.
void fetch(const void* from, int64_t bytes) {
  constexpr int64_t LINE = 64;  // bytes
  for (int64_t byte = 0; byte < bytes; byte += LINE)
    __builtin_prefetch(static_cast<const char*>(from) + byte, 0, 2);
}

// What a row sees of one head that is shared.
template <typename T>
struct Pages {
  const T* block;  // of the first page
  int64_t stride;  // from one page's to the next one's
  const int32_t* table;
  int64_t count;

  const T* operator[](int64_t place) const { return block + table[place] * stride; }
};

// Pages lie anywhere, so no processor finds the next one by itself. So many are on their way while one is
// computed.
constexpr int64_t AHEAD = 4;

// The page to fetch while `now` is at this place, if need be of those that are computed after.
template <typename T>
const T* ahead(const Pages<T>& now, const Pages<T>& after, int64_t place) {
  const int64_t beyond = place + AHEAD - now.count;
  if (beyond < 0) return now[place + AHEAD];
  return beyond < after.count ? after[beyond] : now[place];
}

// places: of each token in the cache, counted in tokens
template <typename T>
void write(const int64_t* places, int64_t count, const Heads& heads, const Fresh<T>& key,
           const Fresh<T>& value, T* keys, T* values) {
#pragma omp parallel for if (count > 1)
  for (int64_t token = 0; token < count; ++token) {
    const int64_t page = places[token] / PAGE, place = places[token] % PAGE;
    for (int64_t head = 0; head < heads.shared; ++head) {
      const T* from = key.of(head, token);
      T* to = keys + (page * heads.shared + head) * heads.key_size * PAGE + place;
      for (int64_t number = 0; number < heads.key_size; ++number) to[number * PAGE] = from[number];
      from = value.of(head, token);
      to = values + ((page * heads.shared + head) * PAGE + place) * heads.value_size;
      std::copy(from, from + heads.value_size, to);
    }
  }
}

}  // namespace
