// SPDX-License-Identifier: MIT
//
// JSON by RapidJSON, where memory may be out: what it allocates throws std::bad_alloc.
#pragma once

#include <rapidjson/document.h>
#include <rapidjson/prettywriter.h>
#include <rapidjson/writer.h>

#include <cstddef>
#include <cstdlib>
#include <new>
#include <string>

namespace lemonade {

/// What RapidJSON writes to.
struct Text {
  using Ch = char;
  std::string text = {};
  void Put(char c) { text.push_back(c); }
  void Flush() {}
};

/// How RapidJSON indents what it writes there.
inline void PutN(Text& text, char c, std::size_t count) { text.text.append(count, c); }

/// What RapidJSON keeps its place in the document with; its own allocator hands out null, which it then writes to.
struct ThrowingAllocator {
  static constexpr bool kNeedFree = true;
  void* Malloc(std::size_t size) { return size == 0 ? nullptr : orThrow(std::malloc(size)); }
  void* Realloc(void* memory, std::size_t, std::size_t size) {
    if (size != 0) return orThrow(std::realloc(memory, size));
    std::free(memory);
    return nullptr;
  }
  static void Free(void* memory) noexcept { std::free(memory); }

 private:
  static void* orThrow(void* memory) {
    if (memory == nullptr) throw std::bad_alloc();
    return memory;
  }
};

/// A document that was read; its values are JsonValue.
using JsonDocument =
    rapidjson::GenericDocument<rapidjson::UTF8<>, rapidjson::MemoryPoolAllocator<ThrowingAllocator>, ThrowingAllocator>;
using JsonValue = JsonDocument::ValueType;

}  // namespace lemonade
