// SPDX-License-Identifier: MIT
//
// Maglev's lookup table (Eisenbud et al., NSDI 2016): every backend has a permutation of the places of a table, all
// take turns to occupy their next free place, heavier ones more turns. A key leads to one place; where a backend comes
// or goes hardly any other place changes hands.
//
// Permutations depend on names alone and turns on the order of the names, so equal sets give equal tables in every
// process, whatever order the configuration has.
#pragma once

#include <lemonade/sdk/hash.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>
#include <utility>
#include <vector>

namespace lemonade::sdk {

/// Constant after construction.
class MaglevTable {
 public:
  struct Member {
    std::string name;      ///< distinguishes it from all others, for good
    std::uint32_t weight;  ///< 0: gets no place
    std::uint32_t value;   ///< what at() answers for its places
  };

  static constexpr std::uint32_t kOverhang = 3;

  MaglevTable() = default;

  /// `expected` is how many members there may be, those absent now included: it decides the size of the table, which
  /// must not change when one comes or goes. Allocates. [control]
  MaglevTable(std::vector<Member> members, std::size_t expected) {
    std::erase_if(members, [](const Member& member) { return member.weight == 0; });
    if (members.empty()) return;
    std::sort(members.begin(), members.end(), [](const Member& a, const Member& b) { return a.name < b.name; });
    size_ = sizeFor(expected);
    auto places = populated(members);
    const bool narrow = std::all_of(members.begin(), members.end(), [](const Member& member) {
      return member.value <= std::numeric_limits<std::uint16_t>::max();
    });
    if (narrow)
      narrow_.assign(places.begin(), places.end());
    else
      wide_ = std::move(places);
  }

  /// Number of places, a prime; 0 where there are no members.
  std::uint32_t size() const noexcept { return size_; }
  /// Also of the kOverhang places after the last: they are the first ones again.
  std::uint32_t at(std::uint32_t place) const noexcept { return narrow_.empty() ? wide_[place] : narrow_[place]; }
  /// Where the walk of a key begins; size() must not be 0. [worker]
  std::uint32_t placeOf(std::uint64_t hash) const noexcept {
    return static_cast<std::uint32_t>((hash >> 32) * size_ >> 32);
  }

  /// The size of a table for so many members: the first of a few primes, each about twice the one before, that is above
  /// a hundred times as many. Few, so that a configuration that grows seldom changes the size, which moves every key.
  static std::uint32_t sizeFor(std::size_t members) noexcept {
    constexpr std::uint32_t kPrimes[] = {65'537,    131'101,   262'147,   524'309,   1'048'583,
                                         2'097'169, 4'194'319, 8'388'617, 16'777'259};
    for (const auto prime : kPrimes)
      if (prime > 100 * members) return prime;
    return kPrimes[std::size(kPrimes) - 1];
  }

 private:
  /// A member's way through the table: offset, offset + skip, offset + 2 * skip, ...
  struct Walk {
    std::uint32_t at;
    std::uint32_t skip;
    std::uint32_t value;
    std::uint64_t gained;  // weights of the rounds so far, less what its turns cost
    std::uint64_t weight;
  };

  std::vector<std::uint32_t> populated(const std::vector<Member>& members) const {
    const auto size = size_;
    std::vector<std::uint32_t> places(size + kOverhang);
    std::vector<Walk> walks;
    walks.reserve(members.size());
    std::uint64_t heaviest = 0;
    for (const auto& member : members) {
      walks.push_back({static_cast<std::uint32_t>(hashText(member.name, 1) % size),
                       static_cast<std::uint32_t>(hashText(member.name, 2) % (size - 1) + 1), member.value, 0,
                       member.weight});
      heaviest = std::max<std::uint64_t>(heaviest, member.weight);
    }
    // Bits, since most looks at the table meet a place that is taken: they stay in a near cache.
    std::vector<std::uint64_t> taken((size + 63) / 64);
    for (std::uint32_t left = size;;) {
      for (auto& walk : walks) {
        // The heaviest has a turn in each round, the others by what they gained.
        walk.gained += walk.weight;
        if (walk.gained < heaviest) continue;
        walk.gained -= heaviest;
        while ((taken[walk.at / 64] >> walk.at % 64 & 1) != 0) advance(walk, size);
        taken[walk.at / 64] |= std::uint64_t{1} << walk.at % 64;
        places[walk.at] = walk.value;
        if (--left != 0) continue;
        std::copy_n(places.begin(), kOverhang, places.end() - kOverhang);
        return places;
      }
    }
  }

  static void advance(Walk& walk, std::uint32_t size) noexcept {
    walk.at += walk.skip;
    if (walk.at >= size) walk.at -= size;
  }

  std::uint32_t size_ = 0;
  // One of them holds the places: half the memory is half the cache misses of a pick.
  std::vector<std::uint16_t> narrow_;
  std::vector<std::uint32_t> wide_;
};

}  // namespace lemonade::sdk
