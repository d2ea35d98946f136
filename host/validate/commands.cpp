// SPDX-License-Identifier: MIT
#include "validate/commands.h"

#include "base/fd.h"
#include "validate/strategy_run.h"

#include <Poco/JSON/Array.h>
#include <Poco/JSON/Object.h>
#include <fcntl.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <iomanip>
#include <iostream>

namespace lemonade::validate {

namespace {

int complain(const std::string& text) {
  std::cerr << "plugin-validate: " << text << '\n';
  return 2;
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

Poco::JSON::Object schemaOf(const lemonade_option_t& row) {
  Poco::JSON::Object property;
  property.set("description", std::string(view(row.doc)));
  const std::string fallback(view(row.default_value));
  if (row.type == LEMONADE_OPTION_DURATION) {
    property.set("type", Poco::JSON::Array().add("string").add("integer"));
    property.set("pattern", "^[0-9]+(\\.[0-9]+)?(ns|us|ms|s|m|h)$");
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
      choices.add(std::string(rest.substr(0, comma)));
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
    properties.set(std::string(view(row.key)), schemaOf(row));
    if ((row.flags & LEMONADE_OPTION_REQUIRED) != 0) required.add(std::string(view(row.key)));
  }
  Poco::JSON::Object schema(Poco::JSON_PRESERVE_KEY_ORDER);
  schema.set("$schema", "https://json-schema.org/draft/2020-12/schema");
  schema.set("title", std::string(view(entry.name)));
  schema.set("type", "object");
  schema.set("properties", properties);
  schema.set("required", required);
  schema.set("additionalProperties", false);
  return schema;
}

/// Nanoseconds of one pick, the best of several rounds.
double pickTime(const Subject& subject, const Code& code, std::size_t size) {
  constexpr std::uint32_t kPicks = 20'000;
  StrategyRun run(subject, code);
  Scene scene(equals(size));
  run.show(scene);
  double best = 1e18;
  for (int round = 0; round < 5; ++round) {
    const auto before = nowNs();
    for (std::uint32_t i = 0; i < kPicks; ++i) (void)run.pick(scrambled(subject.seed, i));
    best = std::min(best, static_cast<double>(nowNs() - before) / kPicks);
  }
  run.showUnprepared(scene);
  return best;
}

Status writeOut(const std::string& path, const std::vector<std::byte>& content) {
  const Fd fd(::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644));
  if (!fd) return Error{path + ": " + std::strerror(errno)};
  for (std::size_t done = 0; done < content.size();) {
    const ssize_t n = ::write(fd.get(), content.data() + done, content.size() - done);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return Error{path + ": " + std::strerror(errno)};
    done += static_cast<std::size_t>(n);
  }
  if (::fchmod(fd.get(), 0644) != 0 || ::fsync(fd.get()) != 0) return Error{path + ": " + std::strerror(errno)};
  return success();
}

}  // namespace

int describePlugin(const std::string& path) try {
  const auto read = readSubject(path, {});
  if (!read) return complain(read.error().message);
  if (!read.value().loadable) return complain(path + " " + read.value().refusal);
  const Code code(read.value());
  const auto& entry = code.entry();
  Poco::JSON::Object all(Poco::JSON_PRESERVE_KEY_ORDER);
  all.set("id", entry.id);
  all.set("version", entry.version);
  all.set("kinds", plugin::kindNames(entry.tag.kinds));
  all.set("abi", std::to_string(entry.tag.abi_major) + "." + std::to_string(entry.tag.abi_minor));
  all.set("name", std::string(view(entry.name)));
  all.set("vendor", std::string(view(entry.vendor)));
  all.set("license", std::string(view(entry.license)));
  all.set("doc", std::string(view(entry.doc)));
  all.set("options", schemaOf(entry));
  all.stringify(std::cout, 2);
  std::cout << '\n';
  return 0;
} catch (const Fault& fault) {
  return complain(path + ": " + fault.found);
}

int benchPlugin(const std::string& path, const Wish& wish) try {
  const auto read = readSubject(path, wish);
  if (!read) return complain(read.error().message);
  const auto& subject = read.value();
  if (!subject.loadable) return complain(path + " " + subject.refusal);
  if ((subject.loadable->kinds & LEMONADE_KIND_STRATEGY) == 0)
    return complain(path + " is no strategy: nothing to time");
  const Code code(subject);
  std::cout << "backends  ns per pick\n";
  for (const std::size_t size : {2, 10, 100, 1'000, 10'000})
    std::cout << std::setw(8) << size << std::fixed << std::setprecision(1) << std::setw(13)
              << pickTime(subject, code, size) << '\n';
  return 0;
} catch (const Fault& fault) {
  return complain(path + ": " + fault.found);
}

int installPlugin(const std::string& path, const std::string& folder) {
  const auto read = readSubject(path, {});
  if (!read) return complain(read.error().message);
  if (!read.value().loadable) return complain(path + " " + read.value().refusal);
  const std::string name = path.substr(path.rfind('/') + 1);
  // A scan looks at names that end in .so only.
  const std::string partial = folder + "/." + name + "." + std::to_string(::getpid()) + ".partial";
  const std::string target = folder + "/" + name;
  auto written = writeOut(partial, read.value().loadable->content);
  if (written && ::rename(partial.c_str(), target.c_str()) != 0) written = Error{target + ": " + std::strerror(errno)};
  if (!written) {
    ::unlink(partial.c_str());
    return complain(written.error().message);
  }
  const Fd directory(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (directory) (void)::fsync(directory.get());  // so that the new name survives a power cut
  std::cout << target << '\n';
  return 0;
}

}  // namespace lemonade::validate
