// SPDX-License-Identifier: MIT
//
// The run under load where new plugins are broken, each in a way of its own: none may cost a request, and the log says
// which plugin was refused and why. In the long run every tenth is broken, in the short one every second.
#include "e2e/restless.h"

#include <lemonade/plugin.h>

#include <cstddef>
#include <cstring>

namespace lemonade::test {
namespace {

const std::string kFolder = LEMONADE_BAD_PLUGINS "/";

std::string whole() { return Restless::contentOf(kFolder + "none.so"); }

/// The plugin with one field of its tag changed.
template <class Field>
std::string withTag(std::size_t offset, Field value) {
  std::string content = whole();
  constexpr std::uint16_t kMajor = LEMONADE_ABI_MAJOR;
  std::string head(LEMONADE_MAGIC);
  head.append(reinterpret_cast<const char*>(&kMajor), sizeof(kMajor));
  const auto tag = content.find(head);
  REQUIRE(tag != std::string::npos);
  std::memcpy(content.data() + tag + offset, &value, sizeof(value));
  return content;
}

/// The plugin with its entry symbol under another name.
std::string withoutEntry() {
  std::string content = whole();
  const std::string name = LEMONADE_ENTRY_SYMBOL;
  for (auto at = content.find(name); at != std::string::npos; at = content.find(name, at)) content[at] = 'x';
  return content;
}

struct Broken {
  std::string way;
  std::string words;  ///< in the line of the log that says why
  std::string content;
};

std::vector<Broken> brokenPlugins() {
  std::vector<Broken> broken{
      {"empty", "it is no ELF file", ""},
      {"no ELF file", "it is no ELF file", "a plugin? no"},
      {"cut short", "is cut short", whole().substr(0, whole().size() / 2)},
      {"no entry symbol", "exports no " LEMONADE_ENTRY_SYMBOL, withoutEntry()},
      {"another major version", "is built for ABI 7.x",
       withTag(offsetof(lemonade_plugin_tag_t, abi_major), std::uint16_t{7})},
      {"another layout", "lays out the ABI's structs differently",
       withTag(offsetof(lemonade_plugin_tag_t, layout_hash), std::uint64_t{7})},
      {"another kind", "is no strategy",
       withTag(offsetof(lemonade_plugin_tag_t, kinds), std::uint32_t{LEMONADE_KIND_METRICS_SINK})},
  };
  const std::pair<const char*, const char*> misdeeds[] = {
      {"need_more", "undefined symbol"},
      {"crash_in_load", "crashed with SIGSEGV"},
      {"throw_in_create", "no licence for today"},
      {"crash_in_create", "crashed with SIGSEGV"},
      {"hang_in_create", "hung while being created"},
      {"refuse_in_import", "that state is not mine"},
      {"crash_in_pick", "crashed with SIGSEGV"},
      {"hang_in_pick", "hung while picking"},
      {"invalid_index", "cannot be used in 1000 of 1000 picks"},
  };
  for (const auto& [misdeed, words] : misdeeds)
    broken.push_back({misdeed, words, Restless::contentOf(kFolder + misdeed + ".so")});
  return broken;
}

/// Puts a broken plugin over the running one: it is refused by name, and the one before goes on.
void refuse(Restless& restless, const Broken& broken, bool by_rename) {
  CAPTURE(broken.way);
  auto& balancer = restless.balancer;
  auto& process = balancer.process();
  const auto before = strategy(balancer);
  const char picked = restless.picked();
  const auto seen = process.logSize();
  restless.place(broken.content, by_rename);
  process.waitForLog("reload refused", 20s, seen);
  const auto line = process.waitForLog(broken.words, 1s, seen);
  CHECK((contains(line, restless.versions.id) || contains(line, restless.file())));
  CHECK(restless.picked() == picked);
  for (const char* key : {"generation", "version"})
    CHECK(strategy(balancer)->getValue<std::string>(key) == before->getValue<std::string>(key));
}

/// A second file with the id of the running strategy is passed over, and the log says so.
void passOver(Restless& restless) {
  auto& process = restless.balancer.process();
  const char picked = restless.picked();
  const auto seen = process.logSize();
  const std::string file = restless.folder.write("the_same_id.so", whole());
  std::filesystem::permissions(file, std::filesystem::perms{0644});
  const auto line = process.waitForLog("skipped " + file, 20s, seen);
  CHECK(contains(line, "its id " + restless.versions.id + " is taken by " + restless.file()));
  process.waitForLog("nothing to reload", 20s, seen);
  CHECK(restless.picked() == picked);
  std::filesystem::remove(file);
}

}  // namespace

TEST_CASE("Clients at full speed see no failure while new plugins are broken in every way", "[reload]") {
  // Long enough for a loaded machine, short enough to wait for those that hang.
  const std::string limit = std::to_string(static_cast<int>(2 * timeFactor())) + "s";
  Restless restless({"com.example.misfit", kFolder + "none.so", kFolder + "none_but_last.so"},
                    {{"LEMONADE_PREFLIGHT", limit}});
  auto& process = restless.balancer.process();
  Load load(restless.balancer);
  const auto broken = brokenPlugins();
  const int period = longRun() ? 9 : 1;
  int change = 0, swaps = 0;
  for (std::size_t refused = 0; refused < broken.size();) {
    restless.change(++change);
    if (!Restless::swappable(change)) continue;
    restless.swap(change);
    if (++swaps % period != 0) continue;
    refuse(restless, broken[refused++], change % 4 < 2);
    // The next good one is taken as if nothing had been.
    restless.swap(change + 10'001);
  }
  passOver(restless);
  load.check(change);
  CHECK(process.countLog("reload refused", broken.size()) == broken.size());
  CHECK(restless.balancer.metric("lemonade_config_reloads_total", {"failed"}) == static_cast<double>(broken.size()));
}

}  // namespace lemonade::test
