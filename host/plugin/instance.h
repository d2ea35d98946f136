// SPDX-License-Identifier: MIT
//
// One created instance of a plugin: the C table of its kind, the self pointer, and what keeps both alive. The handle is
// the C++ face of the table: call strategy.table().pick(strategy.self(), ...); there is no second interface beside it.
//
// A unit test makes one from a table of its own, without a shared object.
#pragma once

#include "plugin/guard.h"

#include <lemonade/host.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>

namespace lemonade::plugin {

/// Owns one instance; destroys it on the thread that drops the handle, which must be the control thread. One whose call
/// was broken off is not destroyed, and what it keeps alive stays for ever. Move only.
template <class Table>
class Instance {
 public:
  /// retire runs just before the instance is destroyed (it revokes the host handle); keep is released just after (it
  /// holds the image).
  Instance(const Table& table, void* self, InstanceInfo info, std::shared_ptr<const void> keep,
           std::function<void()> retire = {})
      : Instance(table, self, Guard::make(std::move(info), &table), std::move(keep), std::move(retire)) {}
  /// The same with the guard under which it was created, which must outlive everything.
  Instance(const Table& table, void* self, Guard& guard, std::shared_ptr<const void> keep,
           std::function<void()> retire = {})
      : table_(&table), self_(self), guard_(guard), keep_(std::move(keep)), retire_(std::move(retire)) {}
  Instance(Instance&& other) noexcept
      : table_(std::exchange(other.table_, nullptr)),
        self_(other.self_),
        guard_(other.guard_),
        keep_(std::move(other.keep_)),
        retire_(std::move(other.retire_)) {}
  Instance& operator=(Instance&&) = delete;
  ~Instance() {
    if (table_ == nullptr) return;
    if (retire_) retire_();
    if (!guard_.call(Function::kDestroy, [this] { table_->destroy(self_); })) keepForEver(std::move(keep_));
  }

  const Table& table() const noexcept { return *table_; }
  void* self() const noexcept { return self_; }
  const InstanceInfo& info() const noexcept { return guard_.info(); }
  /// Every call of the table goes through it. It lives until the process ends.
  Guard& guard() const noexcept { return guard_; }

 private:
  const Table* table_;
  void* self_;
  Guard& guard_;
  std::shared_ptr<const void> keep_;
  std::function<void()> retire_;
};

/// The text of an error a plugin filled: "key: message", or just the message.
inline std::string describe(const lemonade_error_t& error) {
  const std::string message = error.message[0] != '\0' ? error.message : "failed without saying why";
  return error.key[0] != '\0' ? std::string(error.key) + ": " + message : message;
}

/// An error for a plugin to fill.
inline lemonade_error_t emptyError() noexcept {
  lemonade_error_t error{};
  error.struct_size = sizeof(error);
  return error;
}

}  // namespace lemonade::plugin
