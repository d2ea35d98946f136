// SPDX-License-Identifier: MIT
//
// The fields and their names are listed once, for writing and for reading.
#include "upgrade/handover.h"

#include "base/json.h"
#include "upgrade/totals.h"

#include <Poco/Base64Decoder.h>
#include <Poco/Base64Encoder.h>
#include <Poco/StreamCopier.h>
#include <rapidjson/error/en.h>

#include <cmath>
#include <concepts>
#include <sstream>
#include <stdexcept>

namespace lemonade {

namespace {

constexpr const char* kFormat = "lemonade-handover/1";

std::string toBase64(const std::string& bytes) {
  std::ostringstream text;
  Poco::Base64Encoder encoder(text);
  encoder.rdbuf()->setLineLength(0);
  encoder.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  encoder.close();
  return std::move(text).str();
}

std::string fromBase64(const std::string& text) {
  std::istringstream stream(text);
  Poco::Base64Decoder decoder(stream);
  std::string bytes;
  Poco::StreamCopier::copyToString(decoder, bytes);
  return bytes;
}

// ---- the fields ----------------------------------------------------------------------------------------------------

template <class Archive>
void describe(Archive& archive, health::Ejector::Standing& standing) {
  archive("ejected", standing.ejected);
  archive("reason", standing.reason);
  archive("ejected_ns", standing.ejected_ns);
  archive("until_ns", standing.until_ns);
  archive("returned_ns", standing.returned_ns);
  archive("in_a_row", standing.in_a_row);
  archive("trusted", standing.trusted);
  archive("checks_decide", standing.checks_decide);
}

template <class Archive, class Counters>
requires std::same_as<Counters, BackendCounters> || std::same_as<Counters, ListenerCounters> ||
    std::same_as<Counters, PoolCounters>
void describe(Archive& archive, Counters& counters) {
  forEachTotal(&counters, [&](const char* name, auto total) { archive(name, counters.*total); });
}

// The row of its averages is of fixed length in the ABI.
template <class Archive>
void describe(Archive& archive, lemonade_backend_speed_t& speed) {
  static_assert(LEMONADE_SPEED_SPANS == 3);
  archive("speed_root_short", speed.root[0]);
  archive("speed_root_middle", speed.root[1]);
  archive("speed_root_long", speed.root[2]);
  archive("speed_count_short", speed.count[0]);
  archive("speed_count_middle", speed.count[1]);
  archive("speed_count_long", speed.count[2]);
  archive("speed_newest", speed.newest);
  archive("speed_spread", speed.spread);
  archive("speed_gap_ns", speed.gap_ns);
  archive("speed_answered_at_ns", speed.answered_at_ns);
}

template <class Archive>
void describe(Archive& archive, BackendState& state) {
  archive("identity", state.identity);
  archive("checked", state.checked);
  archive("healthy", state.healthy);
  archive("degraded", state.degraded);
  archive("reason", state.reason);
  archive("since_unix_ns", state.since_unix_ns);
  archive("connect_ewma_ns", state.connect_ewma_ns);
  archive("exchange_ewma_ns", state.exchange_ewma_ns);
  archive("error_rate", state.error_rate);
  archive("fail_streak", state.fail_streak);
  archive("doubts", state.doubts);
  archive("last_failure", state.last_failure);
  archive("picks", state.picks);
  archive("failed_at_ns", state.failed_at_ns);
  archive("sampled_at_ns", state.sampled_at_ns);
  archive("connect_sampled_ns", state.connect_sampled_ns);
  archive("exchange_sampled_ns", state.exchange_sampled_ns);
  describe(archive, state.speed);
  archive("standing", state.standing);
  archive("ramp_began_ns", state.ramp_began_ns);
  archive("totals", *state.totals);
}

template <class Archive>
void describe(Archive& archive, ProxyTotals& totals) {
  describe(archive, totals.listeners);
  describe(archive, totals.pools);
}

template <class Archive>
void describe(Archive& archive, ListenerTotals& totals) {
  archive("name", totals.name);
  archive("counters", totals.counters);
}

template <class Archive>
void describe(Archive& archive, PoolTotals& totals) {
  archive("name", totals.name);
  archive("counters", totals.counters);
  archive("checks", totals.checks);
  archive("check_failures", totals.check_failures);
  archive("checker_errors", totals.checker_errors);
  archive("ejections", totals.ejections);
}

template <class Archive>
void describe(Archive& archive, CallTotal& total) {
  archive("plugin", total.plugin);
  archive("function", total.function);
  archive("kind", total.kind);
  archive("count", total.count);
}

template <class Archive>
void describe(Archive& archive, ProcessTotals& totals) {
  archive("listeners", totals.listeners);
  archive("pools", totals.pools);
  archive("proxy", totals.proxy);
  for (const auto& [name, total] : kProcessTotals) archive(name, totals.*total);
  archive("plugin_faults", totals.plugin_faults);
  archive("slow_calls", totals.slow_calls);
}

template <class Archive>
void describe(Archive& archive, PluginTotal& total) {
  archive("plugin", total.plugin);
  archive("name", total.name);
  archive("value", total.value);
}

template <class Archive>
void describe(Archive& archive, SinkTotal& total) {
  archive("sink", total.sink);
  archive("dropped_series", total.losses.dropped_series);
  archive("dropped_health_events", total.losses.dropped_health_events);
  archive("dropped_records", total.losses.dropped_records);
  archive("errors", total.losses.errors);
  archive("overruns", total.losses.overruns);
}

template <class Archive>
void describe(Archive& archive, Target& target) {
  archive("host", target.host);
  archive("port", target.port);
  archive("priority", target.priority);
  archive("weight", target.weight);
  archive("addresses", target.addresses);
}

template <class Archive>
void describe(Archive& archive, KnownName& known) {
  archive("name", known.name);
  archive("targets", known.targets);
}

/// Bytes, which JSON has no place for.
struct Bytes {
  std::string& bytes;
};

template <class Archive>
void describe(Archive& archive, Strategy::State& state) {
  archive("format", state.format);
  archive("bytes", Bytes{state.bytes});
}

template <class Archive>
void describe(Archive& archive, StrategyState& state) {
  archive("pool", state.pool);
  archive("strategy", state.strategy);
  archive("state", state.state);
}

template <class Archive>
void describe(Archive& archive, OverrideState& state) {
  archive("pool", state.pool);
  archive("backend", state.backend);
  archive("address", state.address);
  archive("identity", state.identity);
  archive("action", state.action);
  archive("value", state.value);
  archive("since_unix_ns", state.since_unix_ns);
  archive("until_unix_ns", state.until_unix_ns);
  archive("until_ns", state.until_ns);
  archive("by", state.by);
}

template <class Archive>
void describe(Archive& archive, QuarantineState& state) {
  archive("plugin", state.plugin);
  archive("version", state.version);
  archive("file", state.file);
  archive("hash", state.hash);
  archive("generation", state.generation);
  archive("function", state.function);
  archive("reason", state.reason);
  archive("since_unix_ns", state.since_unix_ns);
}

template <class Archive>
void describe(Archive& archive, std::pair<std::string, std::string>& field) {
  archive("name", field.first);
  archive("value", field.second);
}

template <class Archive>
void describe(Archive& archive, EventState& event) {
  archive("kind", event.kind);
  archive("text", event.text);
  archive("pool", event.pool);
  archive("backend", event.backend);
  archive("fields", event.fields);
  archive("sequence", event.sequence);
  archive("unix_ns", event.unix_ns);
}

template <class Archive>
void describe(Archive& archive, EventSpan& span) {
  archive("before", span.before);
  archive("newest", span.newest);
}

template <class Archive>
void describe(Archive& archive, Handover& handover) {
  archive("accepting", handover.accepting);
  archive("processes", handover.processes);
  archive("sessions", handover.sessions);
  archive("totals", handover.totals);
  archive("plugin_totals", handover.plugin_totals);
  archive("sink_totals", handover.sink_totals);
  archive("backends", handover.backends);
  archive("names", handover.names);
  archive("strategies", handover.strategies);
  archive("overrides", handover.overrides);
  archive("quarantined", handover.quarantined);
  archive("events", handover.events);
  archive("event_spans", handover.event_spans);
  archive("strategy", handover.strategy);
  archive("strategy_state", handover.strategy_state);
}

// ---- writing -------------------------------------------------------------------------------------------------------

class Saving {
 public:
  explicit Saving(Text& text) : out_(text) {}

  template <class T>
  void operator()(const char* name, T&& value) {
    out_.Key(name);
    save(value);
  }
  template <class T>
  void object(T& value) {
    out_.StartObject();
    describe(*this, value);
    out_.EndObject();
  }
  /// The first member of the document, which is open afterwards.
  void begin() {
    out_.StartObject();
    std::string format = kFormat;
    (*this)("format", format);
  }
  void end() { out_.EndObject(); }

 private:
  void save(bool value) { out_.Bool(value); }
  void save(std::uint16_t value) { out_.Uint(value); }
  void save(std::uint32_t value) { out_.Uint(value); }
  void save(std::uint64_t value) { out_.Uint64(value); }
  void save(std::int64_t value) { out_.Int64(value); }
  void save(double value) { out_.Double(std::isfinite(value) ? value : 0); }
  void save(float value) { save(static_cast<double>(value)); }
  void save(const std::string& value) { out_.String(value.data(), static_cast<rapidjson::SizeType>(value.size())); }
  void save(const Address& value) { save(value.text()); }
  void save(const Bytes& value) { save(toBase64(value.bytes)); }
  void save(const Counter& value) { out_.Uint64(value.value()); }
  /// The sum, then the index and the count of each bucket that has one.
  void save(const Histogram& value) {
    out_.StartArray();
    out_.Uint64(value.sumNs());
    for (std::size_t i = 0; i < Histogram::kBuckets; ++i) {
      if (value.bucket(i) == 0) continue;
      out_.Uint64(i);
      out_.Uint64(value.bucket(i));
    }
    out_.EndArray();
  }
  template <class T>
  void save(std::list<T>& values) {
    out_.StartArray();
    for (auto& value : values) save(value);
    out_.EndArray();
  }
  template <class T>
  void save(std::vector<T>& values) {
    out_.StartArray();
    for (auto& value : values) save(value);
    out_.EndArray();
  }
  template <class T>
  void save(std::optional<T>& value) {
    value ? object(*value) : static_cast<void>(out_.Null());
  }
  template <class T>
  requires requires(Saving& saving, T& described) { describe(saving, described); }
  void save(T& value) { object(value); }

  rapidjson::Writer<Text, rapidjson::UTF8<>, rapidjson::UTF8<>, ThrowingAllocator> out_;
};

// ---- reading -------------------------------------------------------------------------------------------------------

/// Throws std::runtime_error where a value is not what it should be.
class Loading {
 public:
  Loading(const JsonValue& object, const char* name) : object_(object) { require(object.IsObject(), name); }

  template <class T>
  void operator()(const char* name, T&& value) {
    const auto found = object_.FindMember(name);
    if (found != object_.MemberEnd()) load(name, found->value, value);
  }

 private:
  static void require(bool right, const char* name) {
    if (!right) throw std::runtime_error(std::string("it has another kind of ") + name);
  }

  static void load(const char* name, const JsonValue& json, bool& value) {
    require(json.IsBool(), name);
    value = json.GetBool();
  }
  static void load(const char* name, const JsonValue& json, std::uint16_t& value) {
    require(json.IsUint() && json.GetUint() <= UINT16_MAX, name);
    value = static_cast<std::uint16_t>(json.GetUint());
  }
  static void load(const char* name, const JsonValue& json, Address& value) {
    std::string text;
    load(name, json, text);
    const auto address = Address::parse(text);
    require(address.has_value(), name);
    value = *address;
  }
  static void load(const char* name, const JsonValue& json, std::uint32_t& value) {
    require(json.IsUint(), name);
    value = json.GetUint();
  }
  static void load(const char* name, const JsonValue& json, std::uint64_t& value) {
    require(json.IsUint64(), name);
    value = json.GetUint64();
  }
  static void load(const char* name, const JsonValue& json, std::int64_t& value) {
    require(json.IsInt64(), name);
    value = json.GetInt64();
  }
  static void load(const char* name, const JsonValue& json, double& value) {
    require(json.IsNumber(), name);
    value = json.GetDouble();
  }
  static void load(const char* name, const JsonValue& json, float& value) {
    require(json.IsNumber(), name);
    value = static_cast<float>(json.GetDouble());
  }
  static void load(const char* name, const JsonValue& json, std::string& value) {
    require(json.IsString(), name);
    value.assign(json.GetString(), json.GetStringLength());
  }
  static void load(const char* name, const JsonValue& json, const Bytes& value) {
    std::string text;
    load(name, json, text);
    value.bytes = fromBase64(text);
  }
  static void load(const char* name, const JsonValue& json, Counter& value) {
    require(json.IsUint64(), name);
    value.set(json.GetUint64());
  }
  static void load(const char* name, const JsonValue& json, Histogram& value) {
    require(json.IsArray() && json.Size() % 2 == 1, name);
    const auto number = [&](rapidjson::SizeType i) {
      require(json[i].IsUint64(), name);
      return json[i].GetUint64();
    };
    value.setSumNs(number(0));
    for (rapidjson::SizeType i = 1; i < json.Size(); i += 2) {
      require(number(i) < Histogram::kBuckets, name);
      value.setBucket(number(i), number(i + 1));
    }
  }
  template <class T>
  static void load(const char* name, const JsonValue& json, std::list<T>& values) {
    require(json.IsArray(), name);
    for (const auto& one : json.GetArray()) load(name, one, values.emplace_back());
  }
  template <class T>
  static void load(const char* name, const JsonValue& json, std::vector<T>& values) {
    require(json.IsArray(), name);
    for (const auto& one : json.GetArray()) load(name, one, values.emplace_back());
  }
  template <class T>
  static void load(const char* name, const JsonValue& json, std::optional<T>& value) {
    if (!json.IsNull()) load(name, json, value.emplace());
  }
  template <class T>
  requires requires(Loading& loading, T& described) { describe(loading, described); }
  static void load(const char* name, const JsonValue& json, T& value) {
    Loading archive(json, name);
    describe(archive, value);
  }

  const JsonValue& object_;
};

/// Version 0.2.0 has one listener and one pool, which are called "default" since.
void nameTheOnly(Handover& handover) {
  auto& totals = handover.totals;
  if (!totals.listeners.empty() || !totals.pools.empty()) return;
  const std::string name = Backend::kDefaultPool;
  assignTotals(totalsOf(totals.listeners, name).counters, totals.proxy.listeners);
  auto& pool = totalsOf(totals.pools, name);
  assignTotals(pool.counters, totals.proxy.pools);
  pool.checks.set(totals.checks.value());
  pool.check_failures.set(totals.check_failures.value());
  pool.checker_errors.set(totals.checker_errors.value());
  pool.ejections.set(totals.ejections.value());
  if (handover.strategy_state) handover.strategies.push_back({name, handover.strategy, handover.strategy_state});
}

void requireFormat(const JsonDocument& document) {
  const auto format = document.IsObject() ? document.FindMember("format") : JsonValue::ConstMemberIterator();
  if (!document.IsObject() || format == document.MemberEnd() || !format->value.IsString())
    throw std::runtime_error("it does not say what format it has");
  if (const std::string name = format->value.GetString(); name != kFormat)
    throw std::runtime_error("its format is " + name + ", this version knows " + kFormat);
}

}  // namespace

std::string encode(Handover& handover) {
  Text text;
  Saving saving(text);
  saving.begin();
  describe(saving, handover);
  saving.end();
  return std::move(text.text);
}

Result<std::unique_ptr<Handover>> decode(std::string_view text) try {
  JsonDocument document;
  // Not by calls within calls: nobody says how deep it goes.
  document.Parse<rapidjson::kParseIterativeFlag>(text.data(), text.size());
  if (document.HasParseError())
    return Error{std::string("it is no JSON: ") + rapidjson::GetParseError_En(document.GetParseError())};
  requireFormat(document);
  auto handover = std::make_unique<Handover>();
  Loading loading(document, "document");
  describe(loading, *handover);
  nameTheOnly(*handover);
  return handover;
} catch (const std::bad_alloc&) {
  return Error{"there is no memory to read it"};
} catch (const std::exception& e) {
  return Error{e.what()};
}

}  // namespace lemonade
