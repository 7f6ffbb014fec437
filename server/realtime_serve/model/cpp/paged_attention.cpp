// Attention of a step's rows over their pages, with the vectors of torch's own headers. See ../native.py.

#include <ATen/Parallel.h>

#include <limits>
#include <vector>

namespace {

// Queries of a share whose sums one thread makes together, from keys and values widened once.
constexpr int64_t MOST = 4;

// Sums of each query at once: so many that none waits for the one before it, so few that they stay in
// registers. Where all numbers of queries have as many, a token's answer has the same bits in whichever
// chunk.
constexpr int64_t sums_at_once(int64_t queries) { return WIDTH < 16 && queries > 2 ? 2 : 4; }

// queries: [COUNT, size]; keys: [size, PAGE]; scores: [COUNT, columns], of which a page's are written
template <int64_t COUNT, typename T>
void score_page(const float* queries, const T* keys, const T* next, int64_t size, float* scores,
                int64_t columns) {
  constexpr int64_t PARTS = sums_at_once(COUNT);  // of the sum over a key's numbers
  for (int64_t token = 0; token < PAGE; token += WIDTH) {
    Floats sums[COUNT][PARTS];
    for (auto& of_query : sums) std::fill(of_query, of_query + PARTS, Floats(0));
    const auto add = [&](int64_t number, int64_t part) {
      const Floats key = widen(keys + number * PAGE + token);
      for (int64_t query = 0; query < COUNT; ++query) {
        sums[query][part] = at::vec::fmadd(Floats(queries[query * size + number]), key, sums[query][part]);
      }
    };
    int64_t number = 0;
    for (; number + PARTS <= size; number += PARTS, next += PARTS * WIDTH) {
      fetch(next, PARTS * WIDTH * sizeof(T));
      for (int64_t part = 0; part < PARTS; ++part) add(number + part, part);
    }
    for (; number < size; ++number) add(number, 0);
    for (int64_t query = 0; query < COUNT; ++query) {
      for (int64_t part = 1; part < PARTS; ++part) sums[query][0] = sums[query][0] + sums[query][part];
      sums[query][0].store(scores + query * columns + token);
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

// VECTORS of each answer, from number `at` on. weights: [COUNT, columns]; values: [PAGE, size]
template <int64_t COUNT, int64_t VECTORS, typename T>
void weigh(const float* weights, int64_t columns, const Pages<T>& values, const Pages<T>& after, int64_t size,
           int64_t at, T* const* answers) {
  Floats sums[COUNT][VECTORS];
  for (auto& of_query : sums) std::fill(of_query, of_query + VECTORS, Floats(0));
  for (int64_t page = 0; page < values.count; ++page) {
    const T *row = values[page] + at, *next = ahead(values, after, page) + at;
    for (int64_t token = page * PAGE; token < (page + 1) * PAGE; ++token, row += size, next += size) {
      fetch(next, VECTORS * WIDTH * sizeof(T));
      for (int64_t vector = 0; vector < VECTORS; ++vector) {
        const Floats value = widen(row + vector * WIDTH);
        for (int64_t query = 0; query < COUNT; ++query) {
          sums[query][vector] =
              at::vec::fmadd(Floats(weights[query * columns + token]), value, sums[query][vector]);
        }
      }
    }
  }
  for (int64_t query = 0; query < COUNT; ++query) {
    for (int64_t vector = 0; vector < VECTORS; ++vector) {
      at::vec::convert<T>(sums[query][vector]).store(answers[query] + at + vector * WIDTH, WIDTH);
    }
  }
}

// A number of each answer, where what is left fills no vector.
template <int64_t COUNT, typename T>
void weigh_one(const float* weights, int64_t columns, const Pages<T>& values, int64_t size, int64_t at,
               T* const* answers) {
  for (int64_t query = 0; query < COUNT; ++query) {
    float sum = 0;
    for (int64_t token = 0; token < values.count * PAGE; ++token) {
      sum += weights[query * columns + token] *
             static_cast<float>(values[token / PAGE][token % PAGE * size + at]);
    }
    answers[query][at] = sum;
  }
}

template <int64_t COUNT, typename T>
void weigh_all(const float* weights, int64_t columns, const Pages<T>& values, const Pages<T>& after,
               int64_t size, T* const* answers) {
  constexpr int64_t VECTORS = sums_at_once(COUNT);
  int64_t at = 0;
  for (; at + VECTORS * WIDTH <= size; at += VECTORS * WIDTH)
    weigh<COUNT, VECTORS>(weights, columns, values, after, size, at, answers);
  for (; at + WIDTH <= size; at += WIDTH) weigh<COUNT, 1>(weights, columns, values, after, size, at, answers);
  for (; at < size; ++at) weigh_one<COUNT>(weights, columns, values, size, at, answers);
}

// Memory of a thread.
struct Room {
  std::vector<float> queries, scores;
};

// A query of a share: one head of one token.
template <typename T>
struct Query {
  const T* from;
  T* answer;
  int64_t begin, end;  // tokens that it sees
};

// What some queries see, the first page with the sequence's token `start`, and the keys that are read after.
template <typename T>
struct Seen {
  int64_t start;
  Pages<T> keys, values, after;
};

template <int64_t COUNT, typename T>
void attend_queries(const Query<T>* queries, const Heads& heads, const Seen<T>& seen, Room& room) {
  const auto& [start, keys, values, after] = seen;
  const int64_t columns = keys.count * PAGE, size = heads.key_size;
  room.queries.resize(COUNT * size);
  room.scores.resize(COUNT * columns);
  float* scores = room.scores.data();
  T* answers[COUNT];
  for (int64_t query = 0; query < COUNT; ++query) {
    answers[query] = queries[query].answer;
    for (int64_t number = 0; number < size; ++number) {
      room.queries[query * size + number] = static_cast<float>(queries[query].from[number]) * heads.scale;
    }
  }
  for (int64_t page = 0; page < keys.count; ++page) {
    score_page<COUNT>(room.queries.data(), keys[page], ahead(keys, values, page), size, scores + page * PAGE,
                      columns);
  }
  for (int64_t query = 0; query < COUNT; ++query) {
    constexpr float NEVER = -std::numeric_limits<float>::infinity();
    float* own = scores + query * columns;
    std::fill(own, own + queries[query].begin - start, NEVER);
    std::fill(own + queries[query].end - start, own + columns, NEVER);
    soften(own, columns);
  }
  weigh_all<COUNT>(scores, columns, values, after, heads.value_size, answers);
}

template <typename T, int64_t COUNT = MOST>
void attend_some(int64_t together, const Query<T>* queries, const Heads& heads, const Seen<T>& seen,
                 Room& room) {
  if (together == COUNT) return attend_queries<COUNT>(queries, heads, seen, room);
  if constexpr (COUNT > 1) attend_some<T, COUNT - 1>(together, queries, heads, seen, room);
}

// What a thread computes without a break: queries [first, first + together) of a row and a share, which
// counts the heads of a token first.
struct Task {
  int64_t row, first, together;
};

std::vector<Task> tasks(const Rows& rows, int64_t group) {
  std::vector<Task> found;
  for (int64_t row = 0; row < rows.count; ++row) {
    const int64_t queries = (rows.firsts[row + 1] - rows.firsts[row]) * group;
    for (int64_t first = 0; first < queries; first += MOST) {
      found.push_back({row, first, std::min(MOST, queries - first)});
    }
  }
  return found;
}

// A step's, and what it reads and writes. keys: [pages, shared, key_size, PAGE]; values: [pages, shared,
// PAGE, value_size]; answers: [tokens, heads, value_size]
template <typename T>
struct Step {
  const Rows& rows;
  const Heads& heads;
  const Fresh<T>& query;
  const T *keys, *values;
  T* answers;

  int64_t group() const { return heads.count / heads.shared; }

  Query<T> query_of(const Task& task, int64_t share, int64_t number) const {
    const int64_t next = rows.firsts[task.row + 1];
    const int64_t token = rows.firsts[task.row] + (task.first + number) / group();
    const int64_t head = share * group() + (task.first + number) % group();
    const int64_t end = rows.lengths[task.row] - (next - 1 - token);
    const int64_t begin = rows.window ? std::max<int64_t>(0, end - rows.window) : 0;
    return {query.of(head, token), answers + (token * heads.count + head) * heads.value_size, begin, end};
  }

  Seen<T> seen(const Task& task, int64_t share) const {
    const int64_t first = query_of(task, share, 0).begin / PAGE;
    const int64_t end = (query_of(task, share, task.together - 1).end + PAGE - 1) / PAGE;
    const int32_t* table = rows.table + task.row * rows.most_pages + first;
    const int64_t key_block = heads.key_size * PAGE, value_block = heads.value_size * PAGE;
    const Pages<T> to_score{keys + share * key_block, heads.shared * key_block, table, end - first};
    const Pages<T> to_weigh{values + share * value_block, heads.shared * value_block, table, end - first};
    return {first * PAGE, to_score, to_weigh, {}};
  }
};

// A thread takes the shares of a task one behind the other, as many as leave work for all: so it knows what
// it reads next.
template <typename T>
void attend_all(const Step<T>& step) {
  const auto all = tasks(step.rows, step.group());
  const int64_t shares = step.heads.shared, count = static_cast<int64_t>(all.size()) * shares;
  const int64_t threads = at::get_num_threads(), chunk = (shares + threads - 1) / threads;
#pragma omp parallel
  {
    Room room;
#pragma omp for schedule(dynamic, chunk)
    for (int64_t number = 0; number < count; ++number) {
      const Task& task = all[number / shares];
      const int64_t share = number % shares, next = number + 1;
      auto seen = step.seen(task, share);
      if (next % chunk && next < count) seen.after = step.seen(all[next / shares], next % shares).keys;
      Query<T> queries[MOST];
      for (int64_t query = 0; query < task.together; ++query)
        queries[query] = step.query_of(task, share, query);
      attend_some(task.together, queries, step.heads, seen, room);
    }
  }
}

}  // namespace