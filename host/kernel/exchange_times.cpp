// SPDX-License-Identifier: MIT
#include "kernel/exchange_times.h"

#include "base/fd.h"
#include "kernel/exchange_layout.h"
#include "kernel/exchanges_object.h"  // the compiled program: kExchangesObject, kExchangesObjectSize

#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <linux/bpf.h>
#include <linux/netfilter.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstddef>
#include <cstring>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace lemonade::kernel {

namespace {

// Of Linux 6.4, which headers and libbpf of before do not have.
constexpr auto kNetfilterProgram = static_cast<bpf_prog_type>(32);
constexpr auto kNetfilterAttach = static_cast<bpf_attach_type>(45);
constexpr const char* kTimingProgram = "timeExchange";
constexpr int kCreateLink = 28;
constexpr std::int32_t kTimingPriority = 300;  // and on: behind what may drop or change a packet
constexpr std::int32_t kTimingPriorities = 100;

struct TimingLink {
  std::uint32_t program, target, attach_type, flags, family, hook;
  std::int32_t priority;
  std::uint32_t netfilter_flags;
};

Error exchangeFailure(const std::string& doing, int error) {
  std::string message = "cannot " + doing + ": " + std::strerror(error);
  if (error == EPERM || error == EACCES)
    message += "; it takes CAP_BPF, CAP_PERFMON and CAP_NET_ADMIN, and in a unit of systemd SystemCallFilter=bpf";
  if (error == EINVAL || error == EOPNOTSUPP) message += "; it needs Linux 6.4 or later";
  return {message};
}

struct FreeKernelTypes {
  void operator()(btf* types) const noexcept { btf__free(types); }
};
using KernelTypes = std::unique_ptr<btf, FreeKernelTypes>;

/// The offset in bytes of "a.b.c" in a struct; of an array its first element.
std::optional<std::uint32_t> offsetInKernel(const btf& types, const char* of, std::string_view path) {
  std::uint32_t bits = 0;
  int id = btf__find_by_name_kind(&types, of, BTF_KIND_STRUCT);
  while (!path.empty()) {
    const auto dot = path.find('.');
    const std::string_view name = path.substr(0, dot);
    path = dot == std::string_view::npos ? std::string_view{} : path.substr(dot + 1);
    id = id < 0 ? id : btf__resolve_type(&types, static_cast<std::uint32_t>(id));
    const btf_type* type = id < 0 ? nullptr : btf__type_by_id(&types, static_cast<std::uint32_t>(id));
    if (type != nullptr && btf_is_array(type)) {
      id = btf__resolve_type(&types, btf_array(type)->type);
      type = id < 0 ? nullptr : btf__type_by_id(&types, static_cast<std::uint32_t>(id));
    }
    if (type == nullptr || !btf_is_composite(type)) return std::nullopt;
    id = -ENOENT;
    for (std::uint32_t i = 0; i < btf_vlen(type) && id < 0; ++i) {
      const btf_member& member = btf_members(type)[i];
      const char* const called = btf__name_by_offset(&types, member.name_off);
      if (called == nullptr || name != called) continue;
      bits += btf_member_bit_offset(type, i);
      id = static_cast<int>(member.type);
    }
  }
  if (id < 0) return std::nullopt;
  return bits / 8;
}

/// Connection tracking may be a module, with types of its own beside those of the kernel.
Result<lemonade_program_constants> programConstants(std::uint16_t tag) {
  const KernelTypes kernel(btf__load_vmlinux_btf());
  if (kernel == nullptr) return exchangeFailure("read the kernel's types in /sys/kernel/btf", errno);
  const KernelTypes module(btf__load_module_btf("nf_conntrack", kernel.get()));
  const btf& types = module != nullptr ? *module : *kernel;
  lemonade_program_constants constants{};
  constants.tag = tag;
  constants.wake_after = ExchangeTimes::kWakeNs >> LEMONADE_TICK_BITS;
  std::uint32_t port = 0, to_port = 0;
  const std::pair<const char*, std::uint32_t*> wanted[] = {
      {"mark", &constants.mark_offset},
      {"tuplehash.tuple.src.u3", &constants.tuple_offset},
      {"tuplehash.tuple.src.u", &port},
      {"tuplehash.tuple.dst.u", &to_port},
      {"proto.tcp.retrans", &constants.retrans_offset},
      {"proto.tcp.seen.td_maxack", &constants.acked_offset},
      {"proto.tcp.seen.flags", &constants.flags_offset},
  };
  for (const auto& [path, offset] : wanted) {
    const auto found = offsetInKernel(types, "nf_conn", path);
    if (!found) return Error{std::string("the kernel's connections have no ") + path};
    *offset = *found;
  }
  // What the backend has said is the second of its array.
  const int side = btf__find_by_name_kind(&types, "ip_ct_tcp_state", BTF_KIND_STRUCT);
  const btf_type* const of_side = side > 0 ? btf__type_by_id(&types, static_cast<std::uint32_t>(side)) : nullptr;
  if (of_side == nullptr) return Error{"the kernel's connections have no ip_ct_tcp_state"};
  constants.acked_offset += of_side->size;
  constants.flags_offset += of_side->size;
  if (port != constants.tuple_offset + offsetof(lemonade_tuple, source_port) ||
      to_port != constants.tuple_offset + offsetof(lemonade_tuple, destination_port))
    return Error{"the kernel's connections have their addresses in another order than is known"};
  if (::getrandom(&constants.key, sizeof(constants.key), 0) != sizeof(constants.key))
    return exchangeFailure("draw a key", errno);
  return constants;
}

template <class T>
T* mappedValues(const bpf_object* object, const char* name, std::size_t count) {
  const int fd = bpf_object__find_map_fd_by_name(object, name);
  void* const values = ::mmap(nullptr, count * sizeof(T), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  return values == MAP_FAILED ? nullptr : static_cast<T*>(values);
}

/// The map of a section; libbpf has the first letters of the object's name before it.
bpf_map* sectionMap(const bpf_object* object, std::string_view section) {
  bpf_map* map = nullptr;
  bpf_object__for_each_map(map, object) {
    if (std::string_view(bpf_map__name(map)).ends_with(section)) return map;
  }
  return nullptr;
}

struct CloseObject {
  void operator()(bpf_object* object) const noexcept { bpf_object__close(object); }
};
struct FreeRing {
  void operator()(ring_buffer* ring) const noexcept { ring_buffer__free(ring); }
};
/// The values of a map of the program, which both sides write.
template <class T, std::size_t kCount>
struct UnmapValues {
  void operator()(T* values) const noexcept { ::munmap(values, kCount * sizeof(T)); }
};
template <class T, std::size_t kCount>
using MapValues = std::unique_ptr<T[], UnmapValues<T, kCount>>;

class LoadedExchangeTimes final : public ExchangeTimes {
 public:
  Status load(std::uint16_t tag);
  Status attach();

  int fd() const noexcept override { return ring_buffer__epoll_fd(ring_.get()); }
  void read(const Visit& visit) noexcept override;
  Owed owed(std::uint32_t slot, std::uint64_t now_ns) const noexcept override;
  std::uint64_t idOf(const Tuple& original) const noexcept override;
  std::optional<std::uint64_t> waitsSince(std::uint64_t flow, std::uint32_t slot,
                                          std::uint64_t now_ns) const noexcept override;
  void forget(const Tuple& original, std::uint32_t slot) noexcept override;

 private:
  static int handOn(void* self, void* one, std::size_t size) noexcept;

  std::unique_ptr<bpf_object, CloseObject> object_;
  std::unique_ptr<ring_buffer, FreeRing> ring_;
  MapValues<std::uint64_t, LEMONADE_WORDS> words_;
  MapValues<lemonade_owed, LEMONADE_SLOTS> owed_;
  const Visit* visit_ = nullptr;  // while it is read
  std::uint64_t key_ = 0;
  Fd ipv4_, ipv6_;  // the links, by whose end the program ends
};

Status LoadedExchangeTimes::load(std::uint16_t tag) {
  libbpf_set_print(nullptr);  // what it has to say comes as an errno, too
  const auto constants = programConstants(tag);
  if (!constants) return constants.error();
  key_ = constants.value().key;
  object_.reset(bpf_object__open_mem(kExchangesObject, kExchangesObjectSize, nullptr));
  if (object_ == nullptr) return exchangeFailure("read the program that times exchanges", errno);
  bpf_program* const program = bpf_object__find_program_by_name(object_.get(), kTimingProgram);
  bpf_program__set_type(program, kNetfilterProgram);
  bpf_program__set_expected_attach_type(program, kNetfilterAttach);
  if (const int error = bpf_map__set_initial_value(sectionMap(object_.get(), ".rodata"), &constants.value(),
                                                   sizeof(constants.value()));
      error != 0)
    return exchangeFailure("prepare the program that times exchanges", -error);
  if (const int error = bpf_object__load(object_.get()); error != 0)
    return exchangeFailure("load the program that times exchanges", -error);
  words_.reset(mappedValues<std::uint64_t>(object_.get(), "words", LEMONADE_WORDS));
  owed_.reset(mappedValues<lemonade_owed>(object_.get(), "owed", LEMONADE_SLOTS));
  if (words_ == nullptr || owed_ == nullptr)
    return exchangeFailure("look into the program that times exchanges", errno);
  const int answers = bpf_object__find_map_fd_by_name(object_.get(), "answers");
  ring_.reset(ring_buffer__new(answers, handOn, this, nullptr));
  if (ring_ == nullptr) return exchangeFailure("read exchanges", errno);
  return success();
}

Status LoadedExchangeTimes::attach() {
  const int program = bpf_program__fd(bpf_object__find_program_by_name(object_.get(), kTimingProgram));
  const std::pair<std::uint32_t, Fd*> families[] = {{NFPROTO_IPV4, &ipv4_}, {NFPROTO_IPV6, &ipv6_}};
  for (const auto& [family, link] : families) {
    TimingLink request{};
    request.program = static_cast<std::uint32_t>(program);
    request.attach_type = kNetfilterAttach;
    request.family = family;
    request.hook = NF_INET_FORWARD;
    // Each program at a hook needs a priority of its own; the process before has its own there until it ends.
    for (request.priority = kTimingPriority; request.priority < kTimingPriority + kTimingPriorities;
         ++request.priority) {
      *link = Fd(static_cast<int>(::syscall(SYS_bpf, kCreateLink, &request, sizeof(request))));
      if (*link || errno != EBUSY) break;
    }
    if (!*link) return exchangeFailure("have exchanges timed", errno);
  }
  return success();
}

int LoadedExchangeTimes::handOn(void* self, void* one, std::size_t) noexcept {
  const auto& raw = *static_cast<const lemonade_exchange*>(one);
  const std::uint64_t answered = raw.answered << LEMONADE_TICK_BITS;
  (*static_cast<LoadedExchangeTimes*>(self)->visit_)(
      {raw.slot, answered - (std::uint64_t{raw.took} << LEMONADE_TICK_BITS), answered, raw.flow});
  return 0;
}

void LoadedExchangeTimes::read(const Visit& visit) noexcept {
  visit_ = &visit;
  (void)ring_buffer__consume(ring_.get());
  visit_ = nullptr;
}

ExchangeTimes::Owed LoadedExchangeTimes::owed(std::uint32_t slot, std::uint64_t now_ns) const noexcept {
  auto& of = owed_[slot & (LEMONADE_SLOTS - 1)];
  const std::uint64_t counts = std::atomic_ref(of.asked_waiting).load(std::memory_order_relaxed);
  const std::uint64_t since_sum = std::atomic_ref(of.since_sum).load(std::memory_order_relaxed);
  const std::uint64_t now = now_ns >> LEMONADE_TICK_BITS & LEMONADE_TIME_MASK;
  Owed owed{static_cast<std::uint32_t>(counts >> 32), static_cast<std::uint32_t>(counts), 0};
  const std::uint64_t ages = now * owed.waiting - since_sum;
  // Below 0 where it was caught between two updates, and every 13 days, when the time begins anew, until those have
  // been answered who waited then.
  if (ages >> 63 == 0) owed.age_sum_ns = ages << LEMONADE_TICK_BITS;
  return owed;
}

std::uint64_t LoadedExchangeTimes::idOf(const Tuple& original) const noexcept {
  std::uint32_t source[4];
  std::uint32_t destination[4];
  std::memcpy(source, original.source_host.data(), sizeof(source));
  std::memcpy(destination, original.destination_host.data(), sizeof(destination));
  const std::uint32_t ports = std::uint32_t{htons(original.source_port)} << 16 | htons(original.destination_port);
  return lemonade_flow_hash(source, destination, ports, key_);
}

std::optional<std::uint64_t> LoadedExchangeTimes::waitsSince(std::uint64_t flow, std::uint32_t slot,
                                                             std::uint64_t now_ns) const noexcept {
  const std::uint64_t word = std::atomic_ref(words_[lemonade_flow_place(flow)]).load(std::memory_order_relaxed);
  if (word == 0 || word >> LEMONADE_TIME_BITS != lemonade_flow_id(flow, slot) >> LEMONADE_TIME_BITS)
    return std::nullopt;
  const std::uint64_t now = now_ns >> LEMONADE_TICK_BITS;
  std::uint64_t ago = (now - word) & LEMONADE_TIME_MASK;
  if (ago > LEMONADE_TIME_MASK / 2) ago = 0;  // it has asked since now_ns
  return (now - ago) << LEMONADE_TICK_BITS;
}

void LoadedExchangeTimes::forget(const Tuple& original, std::uint32_t slot) noexcept {
  const std::uint64_t hash = idOf(original);
  std::atomic_ref word(words_[lemonade_flow_place(hash)]);
  std::uint64_t waits = word.load(std::memory_order_relaxed);
  if (waits == 0 || waits >> LEMONADE_TIME_BITS != lemonade_flow_id(hash, slot) >> LEMONADE_TIME_BITS) return;
  if (!word.compare_exchange_strong(waits, 0, std::memory_order_relaxed)) return;
  auto& of = owed_[slot & (LEMONADE_SLOTS - 1)];
  std::atomic_ref(of.asked_waiting).fetch_sub(1, std::memory_order_relaxed);
  std::atomic_ref(of.since_sum).fetch_sub(waits & LEMONADE_TIME_MASK, std::memory_order_relaxed);
}

}  // namespace

Status ExchangeTimes::checkBuild() { return success(); }

Result<std::unique_ptr<ExchangeTimes>> ExchangeTimes::open(std::uint16_t tag) {
  auto times = std::make_unique<LoadedExchangeTimes>();
  if (auto loaded = times->load(tag); !loaded) return std::move(loaded).error();
  if (auto attached = times->attach(); !attached) return std::move(attached).error();
  return std::unique_ptr<ExchangeTimes>(std::move(times));
}

}  // namespace lemonade::kernel
