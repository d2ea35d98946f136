// SPDX-License-Identifier: MIT
#include "plugin/plugin_file.h"

#include "plugin/elf_file.h"
#include "plugin/kind.h"

#include <Poco/DigestEngine.h>
#include <Poco/SHA1Engine.h>
#include <fcntl.h>
#include <lemonade/plugin.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace lemonade::plugin {

namespace {

constexpr std::int64_t kLargestFile = 256 << 20;

Status checkOwnership(const struct stat& status) {
  if (!S_ISREG(status.st_mode)) return Error{"is not a regular file"};
  if (status.st_uid != 0 && status.st_uid != ::geteuid())
    return Error{"is owned by user " + std::to_string(status.st_uid) +
                 "; chown it to root or to the user that runs this"};
  if ((status.st_mode & (S_IWGRP | S_IWOTH)) != 0) return Error{"is writable by group or others; chmod go-w it"};
  if (status.st_size > kLargestFile) return Error{"is larger than 256 MiB"};
  return success();
}

Result<std::vector<std::byte>> readContent(int fd, std::size_t size) {
  std::vector<std::byte> content(size);
  std::size_t done = 0;
  while (done < size) {
    // At a place of its own: others may read the same open file.
    const ssize_t n = ::pread(fd, content.data() + done, size - done, static_cast<off_t>(done));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return Error{std::string("cannot be read: ") + std::strerror(errno)};
    if (n == 0) return Error{"shrank while it was read"};
    done += static_cast<std::size_t>(n);
  }
  return content;
}

std::string hashOf(const std::vector<std::byte>& content) {
  Poco::SHA1Engine engine;
  engine.update(content.data(), content.size());
  return Poco::DigestEngine::digestToHex(engine.digest());
}

bool terminated(const char* text, std::size_t capacity) { return std::memchr(text, '\0', capacity) != nullptr; }

bool validId(std::string_view id) {
  return !id.empty() && std::all_of(id.begin(), id.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '.' || c == '-';
  });
}

/// The part of the entry symbol that holds no pointer.
struct Head {
  lemonade_plugin_tag_t tag;
  char id[sizeof(lemonade_plugin_t::id)];
  char version[sizeof(lemonade_plugin_t::version)];
};
static_assert(sizeof(Head) == offsetof(lemonade_plugin_t, struct_size));

Status checkHead(const Head& head) {
  const auto& tag = head.tag;
  if (std::memcmp(tag.magic, LEMONADE_MAGIC, sizeof(tag.magic)) != 0)
    return Error{"has an entry symbol without its tag (is it initialised at run time? declare it constinit)"};
  if (tag.abi_major != LEMONADE_ABI_MAJOR)
    return Error{"is built for ABI " + std::to_string(tag.abi_major) + ".x; this host has " +
                 std::to_string(LEMONADE_ABI_MAJOR) + "." + std::to_string(LEMONADE_ABI_MINOR) +
                 ": rebuild it with this host's headers"};
  if (tag.need_minor > LEMONADE_ABI_MINOR)
    return Error{"needs ABI " + std::to_string(tag.abi_major) + "." + std::to_string(tag.need_minor) +
                 " (need_minor); this host has " + std::to_string(LEMONADE_ABI_MAJOR) + "." +
                 std::to_string(LEMONADE_ABI_MINOR) + ": upgrade the host"};
  if (tag.layout_hash != LEMONADE_LAYOUT_HASH)
    return Error{"lays out the ABI's structs differently (layout_hash " + std::to_string(tag.layout_hash) +
                 ", expected " + std::to_string(LEMONADE_LAYOUT_HASH) +
                 "): rebuild it with this host's headers and default packing"};
  if ((tag.kinds & kKnownKinds) == 0)
    return Error{"is of no kind this host knows (kinds " + std::to_string(tag.kinds) + ")"};
  if (!terminated(head.id, sizeof(head.id)) || !validId(head.id))
    return Error{"has an invalid id: use lower-case letters, digits, '_', '.' and '-'"};
  if (!terminated(head.version, sizeof(head.version)) || head.version[0] == '\0') return Error{"has no valid version"};
  return success();
}

}  // namespace

Result<PluginFile> readPluginFile(const std::string& path) {
  // Without O_NONBLOCK a FIFO in the directory would hang the scan.
  const Fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!fd) return Error{std::string("cannot be opened: ") + std::strerror(errno)};
  return readPluginFile(fd, path);
}

Result<PluginFile> readPluginFile(const Fd& fd, const std::string& path) {
  struct stat status {};
  if (::fstat(fd.get(), &status) != 0) return Error{std::string("cannot be examined: ") + std::strerror(errno)};
  if (auto checked = checkOwnership(status); !checked) return std::move(checked).error();
  auto content = readContent(fd.get(), static_cast<std::size_t>(status.st_size));
  if (!content) return std::move(content).error();

  auto elf = ElfFile::parse(content.value());
  if (!elf) return std::move(elf).error();
  const auto entry = elf.value().exportedObject(LEMONADE_ENTRY_SYMBOL);
  if (!entry) return Error{"exports no " LEMONADE_ENTRY_SYMBOL ": it is no Lemonade plugin"};
  if (entry->size() < sizeof(Head)) return Error{"has an entry symbol that is too small"};
  Head head;
  std::memcpy(&head, entry->data(), sizeof(head));
  if (auto checked = checkHead(head); !checked) return std::move(checked).error();
  if (const auto shared = elf.value().uniqueSymbol())
    return Error{"has a symbol that every version of it would share (" + std::string(*shared) +
                 ", GNU-unique): build it with lemonade_add_plugin, or with -fno-gnu-unique"};

  PluginFile file;
  file.path = path;
  file.id = head.id;
  file.version = head.version;
  file.kinds = head.tag.kinds;
  file.flags = head.tag.flags;
  file.hash = hashOf(content.value());
  file.content = std::move(content).value();
  return file;
}

}  // namespace lemonade::plugin
