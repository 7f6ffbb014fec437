// What compiled layers call, without Python in between. See ../native.py.

#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/ops/empty.h>
#include <torch/library.h>

#include <cmath>
#include <unordered_map>
#include <variant>

namespace {

using at::Tensor;
using std::optional;

// A packed linear layer: in one of our own orders, or a weight in oneDNN's.
using Layer = std::variant<Integers, Bfloats, Tensor>;

std::unordered_map<int64_t, Layer>& layers() {
  static std::unordered_map<int64_t, Layer> known;
  return known;
}

// A model's attention: what is cached of each layer, and the step that is computed.
struct Attention {
  std::unordered_map<int64_t, std::pair<Tensor, Tensor>> cached;
  Tensor places, table, lengths, firsts;
};

std::unordered_map<int64_t, Attention>& attentions() {
  static std::unordered_map<int64_t, Attention> known;
  return known;
}

void own_integers(int64_t number, const Tensor& weight) {
  layers().insert_or_assign(number, round_weight(weight.contiguous()));
}
void own_bfloats(int64_t number, const Tensor& weight) {
  layers().insert_or_assign(number, lay_bfloats(weight.contiguous()));
}
void own_weight(int64_t number, const Tensor& weight) { layers().insert_or_assign(number, weight); }
void own_cache(int64_t owner, int64_t layer, const Tensor& keys, const Tensor& values) {
  attentions()[owner].cached.insert_or_assign(layer, std::pair(keys, values));
}
void disown_layer(int64_t number) { layers().erase(number); }
void disown_attention(int64_t owner) { attentions().erase(owner); }

void begin_step(int64_t owner, const Tensor& places, const Tensor& table, const Tensor& lengths,
                const Tensor& firsts) {
  auto& own = attentions().at(owner);
  own.places = places;
  own.table = table;
  own.lengths = lengths;
  own.firsts = firsts;
}

Tensor linear(const Tensor& tokens, const Tensor& layer, int64_t /*size*/) {
  const auto& known = layers().at(*layer.const_data_ptr<int64_t>());
  if (const auto* integers = std::get_if<Integers>(&known)) return multiply(*integers, tokens);
  if (const auto* bfloats = std::get_if<Bfloats>(&known)) return multiply(*bfloats, tokens);
  using Multiply = Tensor(const Tensor&, const Tensor&, const optional<Tensor>&, c10::string_view,
                          c10::List<optional<at::Scalar>>, optional<c10::string_view>);
  static const auto multiply =
      c10::Dispatcher::singleton().findSchemaOrThrow("mkldnn::_linear_pointwise", "").typed<Multiply>();
  return multiply.call(tokens, std::get<Tensor>(known), {}, "none", c10::List<optional<at::Scalar>>(), "");
}

// The numbers of a token beside each other, in the cache's type. [..., heads, tokens, size]
Tensor ready(const Tensor& fresh, const Tensor& cached) {
  const Tensor same = fresh.to(cached.scalar_type());
  return same.stride(-1) == 1 ? same : same.contiguous();
}

template <typename T>
Fresh<T> fresh(const Tensor& tensor) {
  return {tensor.const_data_ptr<T>(), tensor.stride(-3), tensor.stride(-2)};
}

Heads sizes(const Tensor& keys, const Tensor& values, int64_t count = 0, double scale = 1) {
  return {count, keys.size(0), keys.size(3), values.size(3), static_cast<float>(scale)};
}

template <typename Run>
void by_type(at::ScalarType type, Run run) {
  if (type == at::kFloat) return run(float());
  if (type == at::kBFloat16) return run(c10::BFloat16());
  TORCH_CHECK(type == at::kHalf, "no attention in C++ over a cache of ", type);
  run(c10::Half());
}

// Cached keys and values: [heads that share, pages, PAGE, size], of a cache that lies by pages.
void write_tokens(const Tensor& keys, const Tensor& values, const Tensor& key, const Tensor& value,
                  const Tensor& places) {
  const Tensor new_key = ready(key, keys), new_value = ready(value, values);
  by_type(keys.scalar_type(), [&](auto kind) {
    using T = decltype(kind);
    write<T>(places.const_data_ptr<int64_t>(), places.numel(), sizes(keys, values), fresh<T>(new_key),
             fresh<T>(new_value), keys.mutable_data_ptr<T>(), values.mutable_data_ptr<T>());
  });
}

// query: [..., heads, tokens, size] → [tokens, heads, size]
Tensor attend_rows(const Tensor& query, const Tensor& keys, const Tensor& values, const Tensor& table,
                   const Tensor& lengths, const Tensor& firsts, optional<double> scaling,
                   optional<int64_t> window) {
  const Tensor asked = ready(query, keys);
  const Rows rows{lengths.numel(),
                  table.size(1),
                  window.value_or(0),
                  table.const_data_ptr<int32_t>(),
                  lengths.const_data_ptr<int32_t>(),
                  firsts.const_data_ptr<int32_t>()};
  const auto heads = sizes(keys, values, asked.size(-3), scaling.value_or(1 / std::sqrt(keys.size(3))));
  const Tensor answers = at::empty({asked.size(-2), heads.count, heads.value_size}, asked.options());
  by_type(keys.scalar_type(), [&](auto kind) {
    using T = decltype(kind);
    attend_all<T>({rows, heads, fresh<T>(asked), keys.const_data_ptr<T>(), values.const_data_ptr<T>(),
                   answers.mutable_data_ptr<T>()});
  });
  return answers.to(query.scalar_type());
}

// [1, heads, tokens, size] → [1, tokens, heads, size]
Tensor attend(const Tensor& query, const Tensor& key, const Tensor& value, const Tensor& layer,
              optional<double> scaling, optional<int64_t> window, int64_t owner) {
  const auto& own = attentions().at(owner);
  const auto& [keys, values] = own.cached.at(*layer.const_data_ptr<int64_t>());
  write_tokens(keys, values, key, value, own.places);
  return attend_rows(query, keys, values, own.table, own.lengths, own.firsts, scaling, window).unsqueeze(0);
}

}  // namespace

TORCH_LIBRARY_FRAGMENT(realtime_serve_native, library) {
  library.def("own_integers(int number, Tensor weight) -> ()", own_integers);
  library.def("own_bfloats(int number, Tensor weight) -> ()", own_bfloats);
  library.def("own_weight(int number, Tensor weight) -> ()", own_weight);
  library.def("own_cache(int owner, int layer, Tensor keys, Tensor values) -> ()", own_cache);
  library.def("disown_layer(int number) -> ()", disown_layer);
  library.def("disown_attention(int owner) -> ()", disown_attention);
  library.def("begin_step(int owner, Tensor places, Tensor table, Tensor lengths, Tensor firsts) -> ()",
              begin_step);
  library.def("write(Tensor(a!) keys, Tensor(b!) values, Tensor key, Tensor value, Tensor places) -> ()",
              write_tokens);
  library.def(
      "attend_rows(Tensor query, Tensor keys, Tensor values, Tensor table, Tensor lengths, Tensor firsts, "
      "float? scaling, int? window) -> Tensor",
      attend_rows);
  library.def("linear(Tensor tokens, Tensor layer, int size) -> Tensor");
  library.def(
      "attend(Tensor query, Tensor key, Tensor value, Tensor layer, float? scaling, int? window, int owner) "
      "-> Tensor");
}

TORCH_LIBRARY_IMPL(realtime_serve_native, CPU, library) {
  library.impl("linear", linear);
  library.impl("attend", attend);
}
