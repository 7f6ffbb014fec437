// Attention of rows of one token over their pages, with the vectors of torch's own headers. See ../native.py.

#include <ATen/cpu/vec/functional.h>

#include <algorithm>
#include <cstdint>
#include <limits>
#include <vector>

namespace {

struct Rows {
  int64_t count, most_pages, window;  // window 0: none
  const int32_t* table;               // [count, most_pages]
  const int32_t* lengths;             // [count]
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

using Floats = at::vec::Vectorized<float>;

constexpr int64_t WIDTH = Floats::size();
constexpr int64_t PAGE = PAGE_TOKENS;
static_assert(PAGE % WIDTH == 0);
constexpr int64_t MOST =
    4;  // heads of a share whose sums one thread makes together, from keys and values widened once

// Sums of each head at once: so many that none waits for the one before it, so few that they stay in
// registers.
constexpr int64_t sums_at_once(int64_t heads) { return heads > 2 ? 2 : 4; }

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

// What a row sees of one head that is shared.
template <typename T>
struct Pages {
  const T* block;  // of the first page
  int64_t stride;  // from one page's to the next one's
  const int32_t* table;
  int64_t count;

  const T* operator[](int64_t place) const { return block + table[place] * stride; }
};

// queries: [HEADS, size]; keys: [size, PAGE]; scores: [HEADS, columns], of which a page's are written
template <int64_t HEADS, typename T>
void score_page(const float* queries, const T* keys, int64_t size, float* scores, int64_t columns) {
  constexpr int64_t PARTS = sums_at_once(HEADS);  // of the sum over a key's numbers
  for (int64_t token = 0; token < PAGE; token += WIDTH) {
    Floats sums[HEADS][PARTS];
    for (auto& of_head : sums) std::fill(of_head, of_head + PARTS, Floats(0));
    const auto add = [&](int64_t number, int64_t part) {
      const Floats key = widen(keys + number * PAGE + token);
      for (int64_t head = 0; head < HEADS; ++head) {
        sums[head][part] = at::vec::fmadd(Floats(queries[head * size + number]), key, sums[head][part]);
      }
    };
    int64_t number = 0;
    for (; number + PARTS <= size; number += PARTS) {
      for (int64_t part = 0; part < PARTS; ++part) add(number + part, part);
    }
    for (; number < size; ++number) add(number, 0);
    for (int64_t head = 0; head < HEADS; ++head) {
      for (int64_t part = 1; part < PARTS; ++part) sums[head][0] = sums[head][0] + sums[head][part];
      sums[head][0].store(scores + head * columns + token);
    }
  }
}

// Scores become weights that add up to 1.
void soften(float* scores, int64_t count) {
  const auto larger = [](Floats one, Floats other) { return at::vec::maximum(one, other); };
  const auto plus = [](Floats one, Floats other) { return one + other; };
  const Floats highest(at::vec::reduce_all<float>(larger, scores, count));
  at::vec::map<float>([&](Floats score) { return (score - highest).exp_u20(); }, scores, scores, count);
  const Floats share(1 / at::vec::reduce_all<float>(plus, scores, count));
  at::vec::map<float>([&](Floats weight) { return weight * share; }, scores, scores, count);
}

// VECTORS of each head's answer, from number `at` on. weights: [HEADS, columns]; values: [PAGE, size];
// answers: [HEADS, size]
template <int64_t HEADS, int64_t VECTORS, typename T>
void weigh(const float* weights, int64_t columns, const Pages<T>& values, int64_t size, int64_t at,
           T* answers) {
  Floats sums[HEADS][VECTORS];
  for (auto& of_head : sums) std::fill(of_head, of_head + VECTORS, Floats(0));
  for (int64_t page = 0; page < values.count; ++page) {
    const T* row = values[page] + at;
    for (int64_t token = page * PAGE; token < (page + 1) * PAGE; ++token, row += size) {
      for (int64_t vector = 0; vector < VECTORS; ++vector) {
        const Floats value = widen(row + vector * WIDTH);
        for (int64_t head = 0; head < HEADS; ++head) {
          sums[head][vector] =
              at::vec::fmadd(Floats(weights[head * columns + token]), value, sums[head][vector]);
        }
      }
    }
  }
  for (int64_t head = 0; head < HEADS; ++head) {
    for (int64_t vector = 0; vector < VECTORS; ++vector) {
      at::vec::convert<T>(sums[head][vector]).store(answers + head * size + at + vector * WIDTH, WIDTH);
    }
  }
}

// A number of each head's answer, where what is left fills no vector.
template <int64_t HEADS, typename T>
void weigh_one(const float* weights, int64_t columns, const Pages<T>& values, int64_t size, int64_t at,
               T* answers) {
  for (int64_t head = 0; head < HEADS; ++head) {
    float sum = 0;
    for (int64_t token = 0; token < values.count * PAGE; ++token) {
      sum += weights[head * columns + token] *
             static_cast<float>(values[token / PAGE][token % PAGE * size + at]);
    }
    answers[head * size + at] = sum;
  }
}

template <int64_t HEADS, typename T>
void weigh_all(const float* weights, int64_t columns, const Pages<T>& values, int64_t size, T* answers) {
  constexpr int64_t VECTORS = sums_at_once(HEADS);
  int64_t at = 0;
  for (; at + VECTORS * WIDTH <= size; at += VECTORS * WIDTH)
    weigh<HEADS, VECTORS>(weights, columns, values, size, at, answers);
  for (; at + WIDTH <= size; at += WIDTH) weigh<HEADS, 1>(weights, columns, values, size, at, answers);
  for (; at < size; ++at) weigh_one<HEADS>(weights, columns, values, size, at, answers);
}

// Memory of a thread.
struct Room {
  std::vector<float> queries, scores;
};

// HEADS of a share, one row. hidden: tokens of the first page that it no longer sees; seen: up to which it
// does
template <int64_t HEADS, typename T>
void attend_heads(const Heads& heads, const T* query, int64_t stride, const Pages<T>& keys,
                  const Pages<T>& values, int64_t hidden, int64_t seen, Room& room, T* answers) {
  const int64_t columns = keys.count * PAGE, size = heads.key_size;
  room.queries.resize(HEADS * size);
  room.scores.resize(HEADS * columns);
  for (int64_t head = 0; head < HEADS; ++head) {
    for (int64_t number = 0; number < size; ++number) {
      room.queries[head * size + number] = static_cast<float>(query[head * stride + number]) * heads.scale;
    }
  }
  float* scores = room.scores.data();
  for (int64_t page = 0; page < keys.count; ++page) {
    score_page<HEADS>(room.queries.data(), keys[page], size, scores + page * PAGE, columns);
  }
  for (float* own = scores; own < scores + HEADS * columns; own += columns) {
    constexpr float NEVER = -std::numeric_limits<float>::infinity();
    std::fill(own, own + hidden, NEVER);
    std::fill(own + seen, own + columns, NEVER);
    soften(own, columns);
  }
  weigh_all<HEADS>(scores, columns, values, heads.value_size, answers);
}

template <typename T, int64_t HEADS = MOST>
void attend_some(int64_t together, const Heads& heads, const T* query, int64_t stride, const Pages<T>& keys,
                 const Pages<T>& values, int64_t hidden, int64_t seen, Room& room, T* answers) {
  if (together == HEADS)
    return attend_heads<HEADS>(heads, query, stride, keys, values, hidden, seen, room, answers);
  if constexpr (HEADS > 1)
    attend_some<T, HEADS - 1>(together, heads, query, stride, keys, values, hidden, seen, room, answers);
}

// keys: [pages, shared, key_size, PAGE]; values: [pages, shared, PAGE, value_size]; answers: [rows, heads,
// value_size]
template <typename T>
void decode(const Rows& rows, const Heads& heads, const Fresh<T>& query, const T* keys, const T* values,
            T* answers) {
  const int64_t group = heads.count / heads.shared, parts = (group + MOST - 1) / MOST;
#pragma omp parallel
  {
    Room room;
#pragma omp for schedule(dynamic)
    for (int64_t task = 0; task < rows.count * heads.shared * parts; ++task) {
      const int64_t row = task / (heads.shared * parts), share = task / parts % heads.shared;
      const int64_t head = share * group + task % parts * MOST,
                    together = std::min(MOST, (share + 1) * group - head);
      const int64_t end = rows.lengths[row],
                    begin = rows.window ? std::max<int64_t>(0, end - rows.window) : 0;
      const int64_t first = begin / PAGE, count = (end + PAGE - 1) / PAGE - first;
      const int32_t* table = rows.table + row * rows.most_pages + first;
      const int64_t key_block = heads.key_size * PAGE, value_block = heads.value_size * PAGE;
      const Pages<T> key_pages{keys + share * key_block, heads.shared * key_block, table, count};
      const Pages<T> value_pages{values + share * value_block, heads.shared * value_block, table, count};
      attend_some(together, heads, query.of(head, row), query.head_stride, key_pages, value_pages,
                  begin - first * PAGE, end - first * PAGE, room,
                  answers + (row * heads.count + head) * heads.value_size);
    }
  }
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