// SPDX-License-Identifier: MIT
//
// Loaded before a program (LD_PRELOAD), it has allocations and system calls fail as a page says that it shares with a
// test: see support/scarcity.h. Any thread; allocates nothing.
#include "support/scarcity.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <liburing.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>

// What glibc calls its own.
extern "C" {
void* __libc_malloc(std::size_t size);
void* __libc_calloc(std::size_t count, std::size_t size);
void* __libc_realloc(void* memory, std::size_t size);
void* __libc_memalign(std::size_t alignment, std::size_t size);
}

namespace {

using lemonade::test::Scarcity;

Scarcity* page = nullptr;

__attribute__((constructor)) void openPage() {
  const char* const file = ::getenv(lemonade::test::kScarcityVariable);
  const int fd = file != nullptr ? ::open(file, O_RDWR | O_CLOEXEC) : -1;
  if (fd < 0) return;
  void* const memory = ::mmap(nullptr, sizeof(Scarcity), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  ::close(fd);
  if (memory != MAP_FAILED) page = static_cast<Scarcity*>(memory);
}

bool isWorker() noexcept {
  char name[16] = {};
  return ::prctl(PR_GET_NAME, name) == 0 && std::strncmp(name, "worker-", 7) == 0;
}

/// xorshift; each thread has a sequence of its own.
std::uint32_t random() noexcept {
  static thread_local std::uint32_t state = 0;
  if (state == 0) state = static_cast<std::uint32_t>(::syscall(SYS_gettid)) * 2'654'435'761U | 1U;
  state ^= state << 13;
  state ^= state >> 17;
  return state ^= state << 5;
}

bool fails(const std::atomic<std::uint32_t> Scarcity::*how_often) noexcept {
  if (page == nullptr) return false;
  const std::uint32_t one_in = (page->*how_often).load(std::memory_order_relaxed);
  if (one_in == 0 || random() % one_in != 0) return false;
  if (page->workers_only.load(std::memory_order_relaxed) != 0 && !isWorker()) return false;
  page->failed.fetch_add(1, std::memory_order_relaxed);
  errno = ENOMEM;
  return true;
}

bool noMemory() noexcept { return fails(&Scarcity::memory_one_in); }
bool noCall() noexcept { return fails(&Scarcity::calls_one_in); }

}  // namespace

extern "C" {

void* malloc(std::size_t size) { return noMemory() ? nullptr : __libc_malloc(size); }
void* calloc(std::size_t count, std::size_t size) { return noMemory() ? nullptr : __libc_calloc(count, size); }
void* realloc(void* memory, std::size_t size) { return noMemory() ? nullptr : __libc_realloc(memory, size); }
void* aligned_alloc(std::size_t alignment, std::size_t size) {
  return noMemory() ? nullptr : __libc_memalign(alignment, size);
}

int socket(int domain, int type, int protocol) {
  return noCall() ? -1 : static_cast<int>(::syscall(SYS_socket, domain, type, protocol));
}
int accept4(int fd, sockaddr* address, socklen_t* size, int flags) {
  return noCall() ? -1 : static_cast<int>(::syscall(SYS_accept4, fd, address, size, flags));
}
// What is taken away needs no memory.
int epoll_ctl(int epoll, int operation, int fd, epoll_event* event) noexcept {
  if (operation != EPOLL_CTL_DEL && noCall()) return -1;
  return static_cast<int>(::syscall(SYS_epoll_ctl, epoll, operation, fd, event));
}
int io_uring_enter2(unsigned fd, unsigned submit, unsigned wait, unsigned flags, sigset_t* signals, size_t size) {
  if (noCall()) return -ENOMEM;
  const auto result = ::syscall(SYS_io_uring_enter, fd, submit, wait, flags, signals, size);
  return result < 0 ? -errno : static_cast<int>(result);
}
}
