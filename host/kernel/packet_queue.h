// SPDX-License-Identifier: MIT
//
// The packets that a rule sends to an NFQUEUE, each of which waits in the kernel until it is decided on. What the queue
// or the receive buffer has no room for goes on undecided (NFQA_CFG_F_FAIL_OPEN), as does what waits when the queue is
// closed.
#pragma once

#include "base/result.h"
#include "kernel/netfilter_batch.h"
#include "kernel/netfilter_socket.h"

#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>

namespace lemonade::kernel {

struct QueuedPacket {
  std::uint32_t id = 0;    ///< by which it is decided on
  std::uint32_t mark = 0;  ///< that it has so far
  std::span<const std::byte>
      bytes;  ///< the first kPacketHeadSize at most, from the IP header on; until the visit returns
};

/// Move only. One thread at a time. It is of the network namespace of the thread that opened it.
class PacketQueue {
 public:
  /// Binds the first number at or after `first` that no queue of this network namespace has. At most `limit` packets
  /// wait in it.
  static Result<PacketQueue> open(std::uint16_t first, std::uint32_t limit);
  ~PacketQueue() { close(); }
  PacketQueue(PacketQueue&& other) noexcept = default;
  PacketQueue& operator=(PacketQueue&& other) noexcept;

  /// Readable while packets are there to read.
  int fd() const noexcept { return socket_.fd(); }
  std::uint16_t number() const noexcept { return number_; }

  /// Calls visit(const QueuedPacket&) for each packet that is there, for kBatch at most. It may decide on the packet
  /// there, or later; the kernel hears of what is decided there when all have been visited.
  template <class Visit>
  void read(Visit&& visit) {
    const Together together(*this);
    readMessages(socket_, kBatch, [&](const nlmsghdr& message) {
      QueuedPacket packet;
      if (parse(message, packet)) visit(std::as_const(packet));
    });
  }

  /// Lets a packet go on as it is.
  void accept(std::uint32_t id) noexcept;
  /// Lets a packet go on with another mark.
  void accept(std::uint32_t id, std::uint32_t mark) noexcept;
  void drop(std::uint32_t id) noexcept;
  /// Has what waits go through the rules once more, which name another queue by now: nothing is lost, and somebody else
  /// is asked.
  void askAnew() noexcept;
  /// Lets go on what waits, and unbinds the number. Of what comes until then from a rule that still names the number, a
  /// packet may be dropped.
  void close() noexcept;

 private:
  static constexpr unsigned kBatch = 64;
  static constexpr std::size_t kDecisionSize = 64;  // more than one has

  /// What is decided in its scope is sent at its end, in one call.
  class Together {
   public:
    explicit Together(PacketQueue& queue) noexcept : queue_(queue) { queue_.together_ = true; }
    ~Together() {
      queue_.together_ = false;
      queue_.sendDecisions();
    }
    Together(const Together&) = delete;
    Together& operator=(const Together&) = delete;

   private:
    PacketQueue& queue_;
  };

  PacketQueue(NetfilterSocket socket, std::uint16_t number) noexcept : socket_(std::move(socket)), number_(number) {}

  /// False where the message is no packet.
  bool parse(const nlmsghdr& message, QueuedPacket& packet) noexcept;
  void decide(std::uint16_t type, std::uint32_t id, int verdict, const std::uint32_t* mark) noexcept;
  void sendDecisions() noexcept;
  void decideOnAll(int verdict) noexcept;

  NetfilterSocket socket_;
  std::uint16_t number_;
  std::uint32_t newest_ = 0;  // the id of the newest packet that was read
  bool together_ = false;
  std::size_t decided_ = 0;  // bytes of decisions that are not sent yet
  NetfilterSocket::Buffer<kBatch * kDecisionSize> decisions_;
};

}  // namespace lemonade::kernel
