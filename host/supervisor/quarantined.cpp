// SPDX-License-Identifier: MIT
#include "supervisor/quarantined.h"

#include "base/read_write.h"

#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <string_view>
#include <utility>

namespace lemonade::supervisor {

namespace {

constexpr off_t kMostBytes = 1 << 20;

/// A field of a line: without what separates fields and lines.
std::string fieldOf(std::string text) {
  for (char& c : text)
    if (c == '\t' || c == '\n') c = ' ';
  return text;
}

}  // namespace

Fd writeQuarantined(const std::vector<Quarantined>& plugins) {
  Fd file(::memfd_create("lemonade-quarantine", MFD_CLOEXEC));
  std::string text;
  for (const auto& plugin : plugins)
    text += fieldOf(plugin.id) + "\t" + fieldOf(plugin.version) + "\t" + fieldOf(plugin.hash) + "\t" +
            fieldOf(plugin.file) + "\t" + fieldOf(plugin.why) + "\n";
  return file && writeAll(file.get(), text.data(), text.size()) ? std::move(file) : Fd();
}

std::vector<Quarantined> readQuarantined(int fd) {
  std::vector<Quarantined> plugins;
  struct stat status {};
  if (fd < 0 || ::fstat(fd, &status) != 0 || status.st_size > kMostBytes) return plugins;
  std::string text(static_cast<std::size_t>(status.st_size), '\0');
  if (::pread(fd, text.data(), text.size(), 0) != status.st_size) return plugins;
  for (std::size_t from = 0; from < text.size();) {
    const std::size_t end = std::min(text.find('\n', from), text.size());
    std::string_view line(text.data() + from, end - from);
    std::array<std::string, 5> fields;
    for (auto& field : fields) {
      const std::size_t tab = std::min(line.find('\t'), line.size());
      field = line.substr(0, tab);
      line.remove_prefix(std::min(tab + 1, line.size()));
    }
    if (!fields[0].empty() && !fields[2].empty())
      plugins.push_back({fields[0], fields[1], fields[2], fields[3], fields[4]});
    from = end + 1;
  }
  return plugins;
}

}  // namespace lemonade::supervisor
