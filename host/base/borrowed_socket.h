// SPDX-License-Identifier: MIT
//
// Any pollable descriptor as a socket of a Poco reactor. The descriptor stays its owner's, who removes it from the
// reactor before closing it.
#pragma once

#include <Poco/Net/Socket.h>
#include <Poco/Net/StreamSocketImpl.h>

namespace lemonade {

struct BorrowedSocket : Poco::Net::Socket {
  explicit BorrowedSocket(int fd) : Socket(new Impl(fd)) {}

 private:
  class Impl : public Poco::Net::StreamSocketImpl {
   public:
    explicit Impl(int fd) : StreamSocketImpl(fd) {}

   protected:
    ~Impl() override { reset(); }  // forgets the descriptor instead of closing it
  };
};

}  // namespace lemonade
