// SPDX-License-Identifier: MIT
#include "validate/commands.h"

#include "base/fd.h"
#include "base/log_line.h"
#include "base/read_write.h"
#include "validate/strategy_run.h"

#include <Poco/JSON/Array.h>
#include <Poco/JSON/Object.h>
#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <iomanip>
#include <iostream>
#include <optional>
#include <sstream>

namespace lemonade::validate {

namespace {

constexpr int kUnsound = 1;
constexpr int kMisuse = 2;

int complain(const std::string& text, int code) {
  std::cerr << "plugin-validate: " << log::printable(text) << '\n';
  return code;
}

/// The file, where the balancer would load it; else says why not and sets the code to exit with.
std::optional<Subject> readLoadable(const std::string& path, const Wish& wish, int& code) {
  auto read = readSubject(path, wish);
  if (!read) code = complain(read.error().message, kMisuse);
  if (!read) return std::nullopt;
  if (!read.value().loadable) code = complain(path + " " + read.value().refusal, kUnsound);
  return read.value().loadable ? std::optional(std::move(read).value()) : std::nullopt;
}

/// What went wrong in a child, "" where nothing did.
std::string troubleOf(const Ending& ending) {
  if (!ending.exception.empty()) return "fail: " + ending.exception;
  if (!isBad(ending.outcome.status)) return {};
  return std::string(nameOf(ending.outcome.status)) + ": " + ending.outcome.found;
}

const char* jsonType(std::uint32_t type) {
  switch (type) {
    case LEMONADE_OPTION_BOOLEAN:
      return "boolean";
    case LEMONADE_OPTION_INTEGER:
      return "integer";
    case LEMONADE_OPTION_NUMBER:
      return "number";
    default:
      return "string";
  }
}

std::string textOf(lemonade_str_t text) { return log::printable(view(text)); }

Poco::JSON::Object schemaOf(const lemonade_option_t& row) {
  Poco::JSON::Object property;
  property.set("description", textOf(row.doc));
  const std::string fallback = textOf(row.default_value);
  if (row.type == LEMONADE_OPTION_DURATION) {
    property.set("type", Poco::JSON::Array().add("string").add("integer"));
    property.set("pattern", "^[0-9]+(ms|s|m|h)$");
  } else {
    property.set("type", jsonType(row.type));
  }
  if ((row.minimum != 0 || row.maximum != 0) && row.type != LEMONADE_OPTION_STRING) {
    property.set("minimum", row.minimum);
    property.set("maximum", row.maximum);
  }
  if (row.type == LEMONADE_OPTION_CHOICE) {
    Poco::JSON::Array choices;
    for (std::string_view rest = view(row.choices); !rest.empty();) {
      const auto comma = rest.find(',');
      choices.add(log::printable(rest.substr(0, comma)));
      rest = comma == std::string_view::npos ? std::string_view{} : rest.substr(comma + 1);
    }
    property.set("enum", choices);
  }
  if ((row.flags & LEMONADE_OPTION_SECRET) != 0) property.set("writeOnly", true);
  if ((row.flags & LEMONADE_OPTION_REQUIRED) != 0) return property;
  if (row.type == LEMONADE_OPTION_BOOLEAN)
    property.set("default", fallback == "true");
  else if (row.type == LEMONADE_OPTION_INTEGER)
    property.set("default", std::stoll(fallback));
  else if (row.type == LEMONADE_OPTION_NUMBER)
    property.set("default", std::stod(fallback));
  else
    property.set("default", fallback);
  return property;
}

Poco::JSON::Object schemaOf(const lemonade_plugin_t& entry) {
  Poco::JSON::Object properties(Poco::JSON_PRESERVE_KEY_ORDER);
  Poco::JSON::Array required;
  for (std::uint32_t i = 0; i < entry.option_count; ++i) {
    const auto& row = optionRow(entry, i);
    properties.set(textOf(row.key), schemaOf(row));
    if ((row.flags & LEMONADE_OPTION_REQUIRED) != 0) required.add(textOf(row.key));
  }
  Poco::JSON::Object schema(Poco::JSON_PRESERVE_KEY_ORDER);
  schema.set("$schema", "https://json-schema.org/draft/2020-12/schema");
  schema.set("title", textOf(entry.name));
  schema.set("type", "object");
  schema.set("properties", properties);
  schema.set("required", required);
  schema.set("additionalProperties", false);
  return schema;
}

/// Nanoseconds of one pick, the best of several rounds. A round takes as many as fit in a twentieth of a second.
double pickTime(const Subject& subject, std::size_t size) {
  constexpr std::uint32_t kMostPicks = 20'000, kFirst = 20;
  constexpr double kRoundNs = 5e7;
  const Code code(subject);
  StrategyRun run(subject, code);
  Scene scene(equals(size));
  run.show(scene);
  const auto timed = [&](std::uint32_t picks) {
    const auto before = nowNs();
    for (std::uint32_t i = 0; i < picks; ++i) (void)run.pick(scrambled(subject.seed, i));
    return static_cast<double>(nowNs() - before) / picks;
  };
  double best = timed(kFirst);
  const auto picks = static_cast<std::uint32_t>(std::clamp(kRoundNs / best, 1.0, double{kMostPicks}));
  for (int round = 0; round < 5; ++round) best = std::min(best, timed(picks));
  run.showUnprepared(scene);
  return best;
}

std::string describe(const Subject& subject) {
  const Code code(subject);
  const auto& entry = code.entry();
  Subject plain;
  const Values checked(plain, entry);  // throws where the schema is not in order
  Poco::JSON::Object all(Poco::JSON_PRESERVE_KEY_ORDER);
  all.set("id", entry.id);
  all.set("version", log::printable(entry.version));
  all.set("kinds", plugin::kindWords(entry.tag.kinds));
  all.set("abi", std::to_string(entry.tag.abi_major) + "." + std::to_string(entry.tag.abi_minor));
  all.set("name", textOf(entry.name));
  all.set("vendor", textOf(entry.vendor));
  all.set("license", textOf(entry.license));
  all.set("doc", textOf(entry.doc));
  all.set("options", schemaOf(entry));
  std::ostringstream text;
  all.stringify(text, 2);
  return text.str() + "\n";
}

Status writeOut(const std::string& path, const std::vector<std::byte>& content) {
  const Fd fd(::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644));
  if (!fd) return Error{path + ": " + std::strerror(errno)};
  if (!writeAll(fd.get(), content.data(), content.size())) return Error{path + ": " + std::strerror(errno)};
  if (::fchmod(fd.get(), 0644) != 0 || ::fsync(fd.get()) != 0) return Error{path + ": " + std::strerror(errno)};
  return success();
}

}  // namespace

int describePlugin(const std::string& path, const Wish& wish) {
  int code = 0;
  const auto subject = readLoadable(path, wish, code);
  if (!subject) return code;
  const auto ending = runIsolated(
      [&] {
        tell(describe(*subject));
        return pass();
      },
      wish.limit);
  if (const auto trouble = troubleOf(ending); !trouble.empty()) return complain(path + ": " + trouble, kUnsound);
  std::cout << ending.told;
  return 0;
}

int benchPlugin(const std::string& path, const Wish& wish) {
  int code = 0;
  const auto subject = readLoadable(path, wish, code);
  if (!subject) return code;
  if ((subject->loadable->kinds & LEMONADE_KIND_STRATEGY) == 0)
    return complain(path + " is no strategy: nothing to time", kMisuse);
  std::cout << "backends  ns per pick\n";
  for (const std::size_t size : {2, 10, 100, 1'000, 10'000}) {
    const auto ending = runIsolated(
        [&] {
          std::ostringstream row;
          row << std::setw(8) << size << std::fixed << std::setprecision(1) << std::setw(13)
              << pickTime(*subject, size);
          tell(row.str());
          return pass();
        },
        wish.limit);
    if (const auto trouble = troubleOf(ending); !trouble.empty())
      return complain(path + ": with " + std::to_string(size) + " backends: " + trouble, kUnsound);
    std::cout << ending.told << std::endl;
  }
  return 0;
}

int installPlugin(const std::string& path, const std::string& folder) {
  int code = 0;
  const auto subject = readLoadable(path, {}, code);
  if (!subject) return code;
  if (!std::filesystem::is_directory(folder)) return complain(folder + ": is no folder", kMisuse);
  const std::string name = path.substr(path.rfind('/') + 1);
  // A scan looks at names that end in .so only.
  const std::string partial = folder + "/." + name + "." + std::to_string(::getpid()) + ".partial";
  const std::string target = folder + "/" + name;
  auto written = writeOut(partial, subject->loadable->content);
  if (written && ::rename(partial.c_str(), target.c_str()) != 0) written = Error{target + ": " + std::strerror(errno)};
  if (!written) {
    ::unlink(partial.c_str());
    return complain(written.error().message, kUnsound);
  }
  const Fd directory(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (directory) (void)::fsync(directory.get());  // so that the new name survives a power cut
  std::cout << target << '\n';
  return 0;
}

}  // namespace lemonade::validate
