// SPDX-License-Identifier: MIT
#include "observe/shadows.h"

#include <cstdint>
#include <utility>

namespace lemonade {

namespace {

void setSide(Json& json, std::string_view name, const ShadowSide& side) {
  json.object(name, [&] {
    setText(json, "plugin", side.plugin.id);
    setText(json, "version", side.plugin.version);
    json.set("generation", std::uint64_t{side.plugin.number});
    json.set("mean_ms", side.meanMs());
    json.set("weighed_picks", side.weighed_picks);
  });
}

void setShadowMembers(Json& json, const ShadowStatus& shadow) {
  setTime(json, "since", shadow.since_unix_ns);
  json.set("picks", shadow.picks());
  json.set("same", shadow.same);
  json.set("other", shadow.other);
  json.set("none", shadow.none);
  json.set("differed_share", shadow.differedShare());
  setSide(json, "strategy", shadow.strategy);
  setSide(json, "shadow", shadow.shadow);
}

void addOne(Json& json, const ShadowBackend& backend) {
  json.object([&] {
    setText(json, "id", backend.id);
    setText(json, "name", backend.name);
    setText(json, "address", backend.address);
    json.set("strategy_picks", backend.strategy_picks);
    json.set("shadow_picks", backend.shadow_picks);
    json.set("mean_ms", backend.mean_ms);
  });
}

double asReal(std::uint64_t number) noexcept { return static_cast<double>(number); }

}  // namespace

std::string shadowsJson(const std::vector<ShadowStatus>& shadows) {
  Text text;
  Json json(text);
  json.object([&] {
    json.array("shadows", shadows, [&](const ShadowStatus& shadow) {
      json.object([&] {
        setText(json, "pool", shadow.pool);
        setShadowMembers(json, shadow);
        json.array("backends", shadow.backends, [&](const ShadowBackend& backend) { addOne(json, backend); });
      });
    });
  });
  text.text += '\n';
  return std::move(text.text);
}

void setShadow(Json& json, const std::optional<ShadowStatus>& shadow) {
  if (!shadow) return json.setNull("shadow");
  json.object("shadow", [&] { setShadowMembers(json, *shadow); });
}

void addShadows(metrics::SnapshotBuilder& builder, std::span<const ShadowStatus> shadows) {
  if (shadows.empty()) return;
  auto picks =
      builder.counter("lemonade_shadow_picks_total",
                      "Picks for which a shadow was asked, too, by what it answered: the same backend, another "
                      "one, or none.");
  auto backends = builder.counter("lemonade_shadow_backend_picks_total",
                                  "Backends of these picks, as the strategy and as the shadow have it.");
  auto weighed = builder.counter("lemonade_shadow_weighed_picks_total",
                                 "Of these picks, those whose backends have answered exchanges since.");
  auto seconds = builder.counter("lemonade_shadow_weighed_seconds_total",
                                 "What the exchanges of these backends then took on average, added up over the picks.");
  for (const auto& shadow : shadows) {
    const auto labels = builder.labels({{"pool", shadow.pool}, {"plugin", shadow.shadow.plugin.id}});
    const auto by = [&](const metrics::LabelSet& of, const char* who) { return builder.labels(of, {{"by", who}}); };
    picks.add(builder.labels(labels, {{"answer", "same"}}), asReal(shadow.same))
        .add(builder.labels(labels, {{"answer", "other"}}), asReal(shadow.other))
        .add(builder.labels(labels, {{"answer", "none"}}), asReal(shadow.none));
    weighed.add(by(labels, "strategy"), asReal(shadow.strategy.weighed_picks))
        .add(by(labels, "shadow"), asReal(shadow.shadow.weighed_picks));
    seconds.add(by(labels, "strategy"), shadow.strategy.weighed_seconds)
        .add(by(labels, "shadow"), shadow.shadow.weighed_seconds);
    for (const auto& backend : shadow.backends) {
      const auto at = builder.labels(labels, {{"backend", backend.id}, {"address", backend.address}});
      backends.add(by(at, "strategy"), asReal(backend.strategy_picks))
          .add(by(at, "shadow"), asReal(backend.shadow_picks));
    }
  }
}

}  // namespace lemonade
