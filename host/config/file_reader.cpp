// SPDX-License-Identifier: MIT
#include "config/file_reader.h"

#include "config/address_range.h"
#include "config/host_port.h"
#include "config/keys.h"
#include "config/tree.h"

#include <algorithm>
#include <filesystem>
#include <set>
#include <utility>

namespace lemonade::config {
namespace {

constexpr std::size_t kLongestPoolName = 64;

bool isName(const std::string& name) {
  return !name.empty() && name.size() <= kLongestPoolName && std::all_of(name.begin(), name.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '.' || c == '_' || c == '-';
  });
}

std::vector<std::string> sectionNames() {
  std::vector<std::string> names;
  for (const auto& key : configKeys())
    if (std::find(names.begin(), names.end(), key.section) == names.end()) names.push_back(key.section);
  for (const auto* name : {"backends", "pools", "listeners"}) names.emplace_back(name);
  return names;
}

/// A section that an id alone can stand for: `strategy = "round_robin"`.
bool isStrategy(const std::string& section) { return section == "strategy" || section == "shadow"; }

const Key<Backend>& addressKey() {
  return *std::find_if(backendKeys().begin(), backendKeys().end(),
                       [](const Key<Backend>& key) { return key.name == "address"; });
}

class FileReader {
 public:
  FileReader(const std::string& file, Draft& draft, Findings& findings)
      : file_(file), draft_(draft), findings_(findings) {}

  void read(const toml::table& root) {
    const toml::node* pools = nullptr;
    const toml::node* listeners = nullptr;
    for (const auto& [key, node] : root) {
      const std::string name(key.str());
      if (name == "pools") {
        pools = &node;
      } else if (name == "listeners") {
        listeners = &node;
      } else {
        readTop(key, node);
      }
    }
    resolveDirectories();
    // Last, whatever the order of the file: they inherit from the tables at the top.
    if (pools != nullptr) readPools(*pools);
    if (listeners != nullptr) readListeners(*listeners);
  }

 private:
  Source at(const toml::node& node) const { return sourceOf(file_, node.source()); }

  void readTop(const toml::key& key, const toml::node& node) {
    const std::string name(key.str());
    if (name == "backends") {
      readBackends(node, "", draft_.config.pools.front());
    } else if (isStrategy(name) && node.is_string()) {
      const auto path = name + ".algorithm";
      readKey(configKey(path), {path, node, at(node), findings_}, draft_.config);
    } else if (std::find(sections_.begin(), sections_.end(), name) == sections_.end()) {
      refuseSection(name, sourceOf(file_, key.source()));
    } else if (const auto* table = node.as_table()) {
      eachKey(Table{file_, name, *table, findings_}, configKeys(), name,
              [this](const auto& known, const Item& item) { readKey(known, item, draft_.config); });
    } else {
      findings_.error(at(node), name + " is a table; write [" + name + "]");
    }
  }

  template <class Target>
  void readKey(const Key<Target>& key, const Item& item, Target& target) {
    key.read(item, target);
    draft_.said[item.path] = item.source;
  }

  /// A key of some table that stands outside of it is told where it belongs.
  void refuseSection(const std::string& name, const Source& source) {
    if (!findings_.wants(source)) return findings_.skip();
    std::string mend;
    for (const auto& key : configKeys())
      if (key.name == name) mend += (mend.empty() ? "it belongs under [" : " or [") + key.section + "]";
    findings_.error(source, "unknown key " + name + "; " + (mend.empty() ? suggestion(name, sections_) : mend));
  }

  /// Directories of a file start at the file.
  void resolveDirectories() {
    const auto directory = std::filesystem::path(file_).parent_path();
    const auto resolve = [&directory](std::string& path) { path = (directory / path).lexically_normal().string(); };
    for (auto& path : draft_.config.plugin_directories) resolve(path);
    for (auto* path : {&draft_.config.plugin_cache_directory, &draft_.config.admin_access.token_file})
      if (!path->empty()) resolve(*path);
  }

  // ---- backends ----

  /// within is "" for those at the top, "pools.web." for those of a pool.
  void readBackends(const toml::node& node, const std::string& within, Pool& pool) {
    const auto path = within + "backends";
    draft_.said[path] = at(node);
    if (node.is_string()) return addBackends(Backend{}, Item{path, node, at(node), findings_}, pool);
    const auto* list = node.as_array();
    if (list == nullptr) return findings_.error(at(node), path + " is a list of tables; write [[" + path + "]]");
    for (const auto& element : *list) {
      if (const auto* table = element.as_table()) {
        readBackend(*table, path, pool);
      } else if (element.is_string()) {
        addBackends(Backend{}, Item{path, element, at(element), findings_}, pool);
      } else {
        findings_.error(at(element), "a backend is a table or an address; write [[" + path + "]]");
      }
    }
  }

  void readBackend(const toml::table& table, const std::string& path, Pool& pool) {
    Backend backend;
    backend.source = backend.address_source = at(table);
    eachKey(Table{file_, path, table, findings_}, backendKeys(), "", [&](const auto& key, const Item& item) {
      if (key.name != "address") key.read(item, backend);
    });
    if (const auto* address = table.get("address"))
      return addBackends(std::move(backend), Item{path + ".address", *address, at(*address), findings_}, pool);
    findings_.error(backend.source, "a backend has no address; give \"host:port\"");
    pool.backends.push_back(std::move(backend));
  }

  /// One backend for each address that the item stands for, else like the one given.
  void addBackends(Backend like, const Item& item, Pool& pool) {
    like.address_source = item.source;
    if (like.source.file.empty()) like.source = item.source;
    const auto texts = expandRanges(item.text().value_or(""));
    if (!texts.ok() || texts.value().size() == 1) {
      texts.ok() ? addressKey().read(item, like) : item.refuse(texts.error().message);
      pool.backends.push_back(std::move(like));
      return;
    }
    std::size_t number = 0;
    for (const auto& text : texts.value()) {
      number += 1;
      auto backend = like;
      for (auto* name : {&backend.id, &backend.name})
        if (!name->empty()) *name += "-" + std::to_string(number);
      Findings of_this;
      readText(addressKey(), item.path, text, item.source, backend, of_this);
      auto wrong = std::move(of_this).take();
      const bool usable = wrong.empty();
      findings_.add(std::move(wrong));
      pool.backends.push_back(std::move(backend));
      if (!usable) return;  // nor are the others
    }
  }

  // ---- pools ----

  void readPools(const toml::node& node) {
    const auto* table = node.as_table();
    if (table == nullptr) return findings_.error(at(node), "pools is a table of pools; write [pools.NAME]");
    for (const auto& [key, child] : *table) {
      const std::string name(key.str());
      const auto source = sourceOf(file_, key.source());
      if (!isUsable("pool", name, source)) continue;
      if (name == kDefaultName) {
        findings_.error(source,
                        "the pool default is that of the tables at the top: write [[backends]], [strategy], "
                        "[health] and [ejection], or choose another name");
      } else if (const auto* entries = child.as_table()) {
        readPool(name, source, *entries);
      } else {
        findings_.error(source, "pools." + name + " is a table; write [pools." + name + "]");
      }
    }
  }

  void readPool(const std::string& name, const Source& source, const toml::table& entries) {
    const auto& inherited = draft_.config.pools.front();
    Pool pool = inherited;
    pool.name = name;
    pool.source = source;
    pool.backends.clear();
    const auto path = "pools." + name;
    const auto read = [&](const auto& key, const Item& item) { readKey(key, item, pool); };
    const auto other = [&](std::string_view entry, const toml::node& node) {
      const std::string section(entry);
      if (section == "backends") {
        readBackends(node, path + ".", pool);
      } else if (isStrategy(section) && node.is_string()) {
        readAlgorithm(section + ".algorithm", {path + "." + section + ".algorithm", node, at(node), findings_}, pool);
      } else if (std::find(pool_sections_.begin(), pool_sections_.end(), section) == pool_sections_.end()) {
        return false;
      } else if (const auto* table = node.as_table()) {
        eachKey(Table{file_, path + "." + section, *table, findings_}, poolKeys(), section, read);
      } else {
        findings_.error(at(node), path + "." + section + " is a table; write [" + path + "." + section + "]");
      }
      return true;
    };
    eachKey(Table{file_, path, entries, findings_}, poolKeys(), "", pool_sections_, read, other);
    forgetOptions(path + ".strategy.options", inherited.strategy, pool.strategy);
    forgetOptions(path + ".shadow.options", inherited.shadow, pool.shadow);
    forgetOptions(path + ".health.options", inherited.health.checker, pool.health.checker);
    draft_.config.pools.push_back(std::move(pool));
  }

  void readAlgorithm(const std::string& called, const Item& item, Pool& pool) {
    for (const auto& key : poolKeys())
      if (key.path() == called) readKey(key, item, pool);
  }

  /// Options are inherited with the plugin that they are for, and not with another one.
  void forgetOptions(const std::string& path, const PluginChoice& inherited, PluginChoice& choice) const {
    if (choice.id != inherited.id && !draft_.said.contains(path)) choice.options.clear();
  }

  // ---- listeners ----

  void readListeners(const toml::node& node) {
    const auto* list = node.as_array();
    if (list == nullptr) return findings_.error(at(node), "listeners is a list of tables; write [[listeners]]");
    for (const auto& element : *list) {
      if (const auto* table = element.as_table()) {
        readListener(*table);
      } else {
        findings_.error(at(element), "a listener is a table; write [[listeners]]");
      }
    }
  }

  void readListener(const toml::table& entries) {
    Listener listener = draft_.config.listeners.front();
    listener.addresses.clear();
    listener.source = at(entries);
    listener.name.clear();
    if (const auto* name = entries.get("name")) {
      listener.name = name->value_exact<std::string>().value_or("");
      if (!isUsable("listener", listener.name, at(*name))) return;
      if (listener.name == kDefaultName || !listener_names_.insert(listener.name).second)
        return findings_.error(
            at(*name), listener.name == kDefaultName
                           ? "the listener default is that of proxy.listen_address; choose another "
                             "name"
                           : "listener name \"" + listener.name + "\" is taken; give each listener a name of its own");
    } else {
      return findings_.error(listener.source, "a listener has no name; give name = \"...\"");
    }
    const auto path = "listeners." + listener.name;
    eachKey(
        Table{file_, path, entries, findings_}, listenerKeys(), "", {"name"},
        [&](const auto& key, const Item& item) { readKey(key, item, listener); },
        [](std::string_view entry, const toml::node&) { return entry == "name"; });
    if (!entries.contains("address"))
      findings_.error(listener.source, "listener " + listener.name + " has no address; give address = \"host:port\"");
    draft_.config.listeners.push_back(std::move(listener));
  }

  bool isUsable(const std::string& what, const std::string& name, const Source& source) {
    if (isName(name)) return true;
    findings_.error(source, what + " name \"" + name.substr(0, kLongestPoolName) +
                                "\": give one of a-z, 0-9, '.', '_' and "
                                "'-', of up to " +
                                std::to_string(kLongestPoolName) + " characters");
    return false;
  }

  const std::string& file_;
  const std::vector<std::string> sections_ = sectionNames();
  const std::vector<std::string> pool_sections_{"strategy", "shadow", "health", "ejection", "backends"};
  std::set<std::string> listener_names_;
  Draft& draft_;
  Findings& findings_;
};

}  // namespace

void readFile(const toml::table& root, const std::string& file, Draft& draft, Findings& findings) {
  FileReader(file, draft, findings).read(root);
}

}  // namespace lemonade::config
