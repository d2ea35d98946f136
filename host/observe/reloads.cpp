// SPDX-License-Identifier: MIT
#include "observe/reloads.h"

#include "base/log_line.h"
#include "observe/json_writer.h"

#include <utility>

namespace lemonade {

namespace {

void setOptional(Json& json, std::string_view name, const std::optional<std::string>& value) {
  value ? setText(json, name, log::validUtf8(*value)) : json.setNull(name);
}

void add(Json& json, const ReloadRecord& reload) {
  json.object([&] {
    setReloadMembers(json, reload.status);
    setText(json, "by", log::validUtf8(reload.by));
    json.array("changes", reload.changes, [&](const ChangedKey& change) {
      json.object([&] {
        setText(json, "key", log::validUtf8(change.key));
        setOptional(json, "before", change.before);
        setOptional(json, "after", change.after);
      });
    });
  });
}

}  // namespace

void setReloadMembers(Json& json, const ReloadStatus& reload) {
  setText(json, "result", reload.result);
  setText(json, "reason", reload.reason);
  setTime(json, "time", reload.unix_ns);
  json.set("duration_seconds", static_cast<double>(reload.duration_ns) / 1e9);
  json.set("generation", reload.generation);
  json.array("lines", reload.lines, [&](const std::string& line) { json.add(log::validUtf8(line)); });
}

std::string reloadsJson(const std::list<ReloadRecord>& reloads) {
  Text text;
  Json json(text);
  json.object([&] { json.array("reloads", reloads, [&](const ReloadRecord& reload) { add(json, reload); }); });
  text.text += '\n';
  return std::move(text.text);
}

}  // namespace lemonade
