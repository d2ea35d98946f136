// SPDX-License-Identifier: MIT
#include "plugin/loader.h"

#include "plugin/host_handle.h"

#include <cstring>
#include <string_view>

namespace lemonade::plugin {

namespace {

/// Where the option is written that a plugin blames, else where the plugin is chosen.
config::Source sourceOf(const config::PluginChoice& choice, const lemonade_error_t& error) {
  const std::string_view key(error.key, ::strnlen(error.key, sizeof(error.key)));
  for (const auto& option : choice.options)
    if (option.key == key) return option.source;
  return choice.source;
}

/// The table that an image has for a kind, large enough and with every function that it must have.
Result<const void*> tableOf(const Image& image, const Kind& kind) {
  const std::string id(kind.interface_id);
  const void* table = image.entry().get_interface({id.data(), id.size()});
  if (table == nullptr) return Error{"says it is a " + std::string(kind.words) + " but has no interface " + id};
  std::uint32_t size = 0;  // struct_size comes first in every table
  std::memcpy(&size, table, sizeof(size));
  if (size < kind.first_size)
    return Error{"has a table of " + std::to_string(size) + " bytes (struct_size) for " + id + ", which has at least " +
                 std::to_string(kind.first_size)};
  if (const auto missing = kind.missing(table); !missing.empty())
    return Error{"lacks the function " + missing + ", in " + id};
  return table;
}

}  // namespace

void Loader::scan(const std::vector<std::string>& directories) { catalog_ = Catalog::scan(directories, known_files_); }

Result<PluginFile> Loader::read(const config::PluginChoice& choice, const Kind& kind) const {
  const auto found = catalog_.plugins.find(choice.id);
  const std::string words = kind.words;
  if (found == catalog_.plugins.end())
    return Error{"there is no plugin \"" + choice.id + "\"; the " + words +
                 " plugins here are: " + catalog_.idsOfKind(kind.bit)};
  if ((found->second.kinds & kind.bit) == 0)
    return Error{"plugin " + choice.id + " is no " + words + " but a " + kindWords(found->second.kinds) + "; the " +
                 words + " plugins here are: " + catalog_.idsOfKind(kind.bit)};
  auto file = readPluginFile(found->second.path);
  if (!file) return std::move(file).error().in("plugin " + choice.id + " (" + found->second.path + ")");
  return file;
}

Result<std::shared_ptr<const Image>> Loader::load(const PluginFile& file) {
  std::erase_if(images_, [](const auto& image) { return image.second.expired(); });
  if (const auto known = images_.find(file.hash); known != images_.end()) return known->second.lock();
  const auto failure = [&file](Error error) {
    return std::move(error).in("plugin " + file.id + " (" + file.path + ")");
  };
  auto copy = copies_.make(file, ++image_generation_);
  if (!copy) return failure(std::move(copy).error());
  auto loaded = Image::load(file, std::move(copy).value());
  if (!loaded) return failure(std::move(loaded).error());
  images_.emplace(file.hash, loaded.value());
  return loaded;
}

std::optional<Loader::Created> Loader::createOf(const Kind& kind, const PluginFile& file,
                                                const config::PluginChoice& choice,
                                                std::vector<OptionProblem>& problems, bool shadow) {
  const auto fail = [&](std::string text) {
    problems.push_back({choice.source, std::move(text)});
    return std::nullopt;
  };
  auto loaded = load(file);
  if (!loaded) return fail(loaded.error().message);
  const auto image = std::move(loaded).value();
  auto table = tableOf(*image, kind);
  if (!table) return fail("plugin " + choice.id + " (" + image->file() + ") " + table.error().message);

  // A plugin names one option that it refuses. Without that one it is asked again, so that all of them are told.
  config::PluginChoice rest = choice;
  for (const std::size_t before = problems.size();;) {
    std::vector<OptionProblem> wrong;
    const OptionSet options = OptionSet::build(image->entry(), rest, wrong);
    const bool first = problems.size() == before;
    if (!first && !wrong.empty()) return std::nullopt;  // it needs what was taken out
    if (wrong.empty()) {
      auto instance = start(kind, table.value(), image, options, rest, wrong, shadow);
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

std::optional<Loader::Created> Loader::start(const Kind& kind, const void* table,
                                             const std::shared_ptr<const Image>& image, const OptionSet& options,
                                             const config::PluginChoice& choice, std::vector<OptionProblem>& problems,
                                             bool shadow) {
  auto& guard =
      Guard::make({image->id(), image->version(), image->file(), ++instances_, image->hash(), shadow}, &image->entry());
  auto& host = HostHandle::make(choice.id, loop_, cells_, &guard);
  const lemonade_options_t values = options.get();
  auto error = emptyError();
  void* self = nullptr;
  lemonade_status_t status = LEMONADE_ERROR_INVALID;
  const bool came_back =
      guard.call(Function::kCreate, [&] { status = kind.create(table, &host.table(), &values, &self, &error); });
  if (came_back && status == LEMONADE_OK) return Created{table, self, &guard, image, [&host] { host.revoke(); }};
  host.revoke();
  if (!came_back) keepForEver(image);
  problems.push_back(
      came_back
          ? OptionProblem{sourceOf(choice, error), "plugin " + choice.id + " refused to start: " + describe(error)}
          : OptionProblem{choice.source, "plugin " + choice.id + " (" + image->file() +
                                             "): its create was broken off: " + nameOf(guard.why())});
  return std::nullopt;
}

void Loader::keepLoaded(const std::string& hash) {
  const auto found = images_.find(hash);
  const auto image = found == images_.end() ? nullptr : found->second.lock();
  if (image != nullptr && !image->isUnloadSafe()) staying_[hash] = image;
}

}  // namespace lemonade::plugin
