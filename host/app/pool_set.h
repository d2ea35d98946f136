// SPDX-License-Identifier: MIT
//
// The pools of the process: those that are configured, and those that a reload removed and that still have sessions. A
// configuration is taken over in two steps: stage() makes aside what it asks for and may fail, use() puts that in force
// and does not fail, unless memory is out.
//
// Control thread only, but for what is marked "any thread".
#pragma once

#include "base/control_loop.h"
#include "base/result.h"

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

namespace lemonade::app {

class ManagedPool;
struct Preparation;

class PoolSet {
 public:
  using Pools = std::vector<std::shared_ptr<ManagedPool>>;
  /// Makes an empty pool of this name for so many workers; throws std::system_error.
  using Make = std::function<std::shared_ptr<ManagedPool>(const std::string& name, std::uint32_t workers)>;

  /// What stage() made. Where it is dropped without use(), the pools that are new in it end.
  class Staged {
   public:
    Staged();
    ~Staged();
    Staged(Staged&&) noexcept;
    Staged& operator=(Staged&&) = delete;

    /// The pool that this name will have.
    ManagedPool& operator[](const std::string& name) const;

   private:
    friend class PoolSet;
    struct Entry;
    std::vector<Entry> entries_;  // in the order of the configuration
  };

  explicit PoolSet(Make make);
  /// After clear().
  ~PoolSet();
  PoolSet(const PoolSet&) = delete;
  PoolSet& operator=(const PoolSet&) = delete;

  // ---- taking a configuration over ----

  /// Makes pools and strategies for a prepared configuration, for so many workers. Nothing changes for the workers.
  Result<Staged> stage(Preparation& preparation, std::uint32_t workers);
  /// Has the staged pools take the configuration over, with their plugins. Each has published a view when this returns.
  void use(Staged staged, const Preparation& preparation);
  /// Has the pools that use() has not been given for the last time drain. No listener leads to one of them any more.
  void retireRest();

  // ---- stopping ----

  void stopResolving();
  void stopChecking();
  /// Ends all pools. After the last worker has ended.
  void clear();
  /// Frees what no worker reads any more, and ends removed pools without sessions; returns how much is left to free.
  std::size_t reclaim();

  // ---- reading, any thread ----

  /// In the order of the configuration. A copy: the control thread may replace the list while somebody goes through it.
  Pools configured() const;
  /// Those that are configured, then those that were removed and still have sessions.
  Pools all() const;

 private:
  std::shared_ptr<ManagedPool> find(const std::string& name) const;

  const Make make_;
  std::uint32_t workers_ = 0;  // the most that there have been
  mutable std::mutex mutex_;   // guards what follows; the control thread changes it
  Pools configured_;
  Pools removed_;
};

}  // namespace lemonade::app
