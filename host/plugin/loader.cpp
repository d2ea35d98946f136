// SPDX-License-Identifier: MIT
#include "plugin/loader.h"

#include "plugin/host_handle.h"
#include "plugin/oldest.h"

#include <cstring>
#include <string_view>

namespace lemonade::plugin {

namespace {

/// What the three kinds differ in.
template <class Table>
struct Kind;

template <>
struct Kind<lemonade_strategy_t> {
  static constexpr std::uint32_t kBit = LEMONADE_KIND_STRATEGY;
  static constexpr lemonade_str_t kInterface = LEMONADE_STR(LEMONADE_STRATEGY_INTERFACE);
  static const char* missing(const lemonade_strategy_t& table) {
    if (table.pick == nullptr) return "pick";
    if (table.prepare != nullptr && table.release == nullptr) return "release";
    if (table.lane_create != nullptr && table.lane_destroy == nullptr) return "lane_destroy";
    if (table.state_format != nullptr && table.export_state == nullptr) return "export_state";
    return table.events != 0 && table.event == nullptr ? "event" : nullptr;
  }
};

template <>
struct Kind<lemonade_health_checker_t> {
  static constexpr std::uint32_t kBit = LEMONADE_KIND_HEALTH_CHECKER;
  static constexpr lemonade_str_t kInterface = LEMONADE_STR(LEMONADE_HEALTH_CHECKER_INTERFACE);
  static const char* missing(const lemonade_health_checker_t& table) {
    if (table.probe_begin == nullptr) return "probe_begin";
    if (table.probe_event == nullptr) return "probe_event";
    return table.probe_end == nullptr ? "probe_end" : nullptr;
  }
};

template <>
struct Kind<lemonade_metrics_sink_t> {
  static constexpr std::uint32_t kBit = LEMONADE_KIND_METRICS_SINK;
  static constexpr lemonade_str_t kInterface = LEMONADE_STR(LEMONADE_METRICS_SINK_INTERFACE);
  static const char* missing(const lemonade_metrics_sink_t& table) {
    if (table.flush == nullptr && table.render == nullptr) return "flush and render";
    return table.render != nullptr && table.content_type == nullptr ? "content_type" : nullptr;
  }
};

/// Where the option is written that a plugin blames, else where the plugin is chosen.
config::Source sourceOf(const config::PluginChoice& choice, const lemonade_error_t& error) {
  const std::string_view key(error.key, ::strnlen(error.key, sizeof(error.key)));
  for (const auto& option : choice.options)
    if (option.key == key) return option.source;
  return choice.source;
}

/// The table of a kind, whole and with every slot that it must have.
template <class Table>
Result<const Table*> interfaceOf(const Image& image) {
  const auto* table = static_cast<const Table*>(image.entry().get_interface(Kind<Table>::kInterface));
  const std::string name(Kind<Table>::kInterface.data);
  if (table == nullptr) return Error{"says it is a " + kindNames(Kind<Table>::kBit) + " but has no interface " + name};
  if (table->struct_size < Oldest<Table>::kSize)
    return Error{"has a table of " + std::to_string(table->struct_size) + " bytes (struct_size) for " + name +
                 "; version 1.0 has " + std::to_string(Oldest<Table>::kSize)};
  const char* slot = table->create == nullptr    ? "create"
                     : table->destroy == nullptr ? "destroy"
                                                 : Kind<Table>::missing(*table);
  if (slot != nullptr) return Error{"lacks the function " + std::string(slot) + " in " + name};
  return table;
}

}  // namespace

void Loader::scan(const std::vector<std::string>& directories) { catalog_ = Catalog::scan(directories); }

Result<PluginFile> Loader::read(const config::PluginChoice& choice, std::uint32_t kind) const {
  const auto found = catalog_.plugins.find(choice.id);
  if (found == catalog_.plugins.end())
    return Error{"there is no plugin \"" + choice.id + "\"; the " + kindNames(kind) +
                 " plugins here are: " + catalog_.idsOfKind(kind)};
  if ((found->second.kinds & kind) == 0)
    return Error{"plugin " + choice.id + " is no " + kindNames(kind) + " but a " + kindNames(found->second.kinds) +
                 "; the " + kindNames(kind) + " plugins here are: " + catalog_.idsOfKind(kind)};
  auto file = readPluginFile(found->second.path);
  if (!file) return std::move(file).error().in("plugin " + choice.id + " (" + found->second.path + ")");
  return file;
}

Result<std::shared_ptr<const Image>> Loader::image(const PluginFile& file) {
  std::erase_if(images_, [](const auto& image) { return image.second.expired(); });
  if (const auto known = images_.find(file.hash); known != images_.end()) return known->second.lock();
  const auto failure = [&file](Error error) {
    return std::move(error).in("plugin " + file.id + " (" + file.path + ")");
  };
  auto copy = copies_.make(file, ++generation_);
  if (!copy) return failure(std::move(copy).error());
  auto loaded = Image::load(file, std::move(copy).value(), generation_);
  if (!loaded) return failure(std::move(loaded).error());
  images_.emplace(file.hash, loaded.value());
  return loaded;
}

template <class Table>
std::optional<Instance<Table>> Loader::create(const config::PluginChoice& choice,
                                              std::vector<OptionProblem>& problems) {
  const auto file = read(choice, Kind<Table>::kBit);
  if (file) return create<Table>(file.value(), choice, problems);
  problems.push_back({choice.source, file.error().message});
  return std::nullopt;
}

template <class Table>
std::optional<Instance<Table>> Loader::create(const PluginFile& file, const config::PluginChoice& choice,
                                              std::vector<OptionProblem>& problems) {
  const auto fail = [&](std::string text) {
    problems.push_back({choice.source, std::move(text)});
    return std::nullopt;
  };
  auto loaded = image(file);
  if (!loaded) return fail(loaded.error().message);
  const auto image = std::move(loaded).value();
  auto table = interfaceOf<Table>(*image);
  if (!table) return fail("plugin " + choice.id + " (" + image->file() + ") " + table.error().message);

  // A plugin names one option that it refuses. Without that one it is asked again, so that all of them are told.
  config::PluginChoice rest = choice;
  for (const std::size_t before = problems.size();;) {
    std::vector<OptionProblem> wrong;
    const OptionSet options = OptionSet::build(image->entry(), rest, wrong);
    const bool first = problems.size() == before;
    if (!first && !wrong.empty()) return std::nullopt;  // it needs what was taken out
    if (wrong.empty()) {
      auto instance = start(*table.value(), image, options, rest, wrong);
      if (instance && first) return instance;
      if (instance) return std::nullopt;
    }
    problems.insert(problems.end(), wrong.begin(), wrong.end());
    const auto refused = [&](const config::OptionValue& option) {
      return std::any_of(wrong.begin(), wrong.end(), [&](const OptionProblem& problem) {
        return problem.source.line == option.source.line && problem.source.column == option.source.column &&
               problem.source.file == option.source.file;
      });
    };
    if (std::erase_if(rest.options, refused) == 0) return std::nullopt;
  }
}

template <class Table>
std::optional<Instance<Table>> Loader::start(const Table& table, const std::shared_ptr<const Image>& image,
                                             const OptionSet& options, const config::PluginChoice& choice,
                                             std::vector<OptionProblem>& problems) {
  auto& host = HostHandle::make(choice.id, loop_, cells_);
  const lemonade_options_t values = options.get();
  auto error = emptyError();
  void* self = nullptr;
  if (table.create(&host.table(), &values, &self, &error) != LEMONADE_OK) {
    host.revoke();
    problems.push_back({sourceOf(choice, error), "plugin " + choice.id + " refused to start: " + describe(error)});
    return std::nullopt;
  }
  return Instance<Table>(table, self, {image->id(), image->version(), image->file(), ++instances_, image->hash()},
                         image, [&host] { host.revoke(); });
}

std::optional<StrategyInstance> Loader::strategy(const config::PluginChoice& choice,
                                                 std::vector<OptionProblem>& problems) {
  return create<lemonade_strategy_t>(choice, problems);
}
std::optional<StrategyInstance> Loader::strategy(const PluginFile& file, const config::PluginChoice& choice,
                                                 std::vector<OptionProblem>& problems) {
  return create<lemonade_strategy_t>(file, choice, problems);
}
std::optional<CheckerInstance> Loader::checker(const config::PluginChoice& choice,
                                               std::vector<OptionProblem>& problems) {
  return create<lemonade_health_checker_t>(choice, problems);
}
std::optional<CheckerInstance> Loader::checker(const PluginFile& file, const config::PluginChoice& choice,
                                               std::vector<OptionProblem>& problems) {
  return create<lemonade_health_checker_t>(file, choice, problems);
}
std::optional<SinkInstance> Loader::sink(const config::PluginChoice& choice, std::vector<OptionProblem>& problems) {
  return create<lemonade_metrics_sink_t>(choice, problems);
}
std::optional<SinkInstance> Loader::sink(const PluginFile& file, const config::PluginChoice& choice,
                                         std::vector<OptionProblem>& problems) {
  return create<lemonade_metrics_sink_t>(file, choice, problems);
}

}  // namespace lemonade::plugin
