// SPDX-License-Identifier: MIT
#include "kernel/queue_rule.h"

#include "kernel/netfilter_socket.h"

#include <libmnl/libmnl.h>
#include <libnftnl/chain.h>
#include <libnftnl/common.h>
#include <libnftnl/expr.h>
#include <libnftnl/rule.h>
#include <libnftnl/table.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/xt_NFQUEUE.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <memory>

namespace lemonade::kernel {

namespace {

constexpr const char* kTarget = "NFQUEUE";
constexpr std::uint32_t kRevision = 3;
/// The kernel aligns what a target is told to 8 bytes.
constexpr std::size_t kInfoSize = (sizeof(xt_NFQ_info_v3) + 7) / 8 * 8;
/// Room for what this file sends, of which nothing has a length of its own but names.
constexpr std::size_t kBatchSize = 8'192;

template <class Object, void (*free)(const Object*)>
struct Freed {
  void operator()(Object* object) const noexcept { free(object); }
};
using Rule = std::unique_ptr<nftnl_rule, Freed<nftnl_rule, nftnl_rule_free>>;
using Chain = std::unique_ptr<nftnl_chain, Freed<nftnl_chain, nftnl_chain_free>>;
using NfTable = std::unique_ptr<nftnl_table, Freed<nftnl_table, nftnl_table_free>>;

/// Messages that the kernel takes together or not at all.
class Batch {
 public:
  Batch() : batch_(::mnl_nlmsg_batch_start(buffer_.data(), buffer_.size() / 2)) {
    ::nftnl_batch_begin(current(), ++sequence_);
    ::mnl_nlmsg_batch_next(batch_);
  }
  ~Batch() { ::mnl_nlmsg_batch_stop(batch_); }
  Batch(const Batch&) = delete;
  Batch& operator=(const Batch&) = delete;

  template <class Build>
  void add(std::uint16_t type, std::uint16_t flags, Build build) {
    build(::nftnl_nlmsg_build_hdr(current(), type, NFPROTO_INET, NLM_F_ACK | flags, ++sequence_));
    ::mnl_nlmsg_batch_next(batch_);
  }
  /// Without it the kernel looks at the messages and then forgets them.
  void commit() {
    ::nftnl_batch_end(current(), ++sequence_);
    ::mnl_nlmsg_batch_next(batch_);
  }
  const void* data() const { return ::mnl_nlmsg_batch_head(batch_); }
  std::size_t size() const { return ::mnl_nlmsg_batch_size(batch_); }

 private:
  char* current() { return static_cast<char*>(::mnl_nlmsg_batch_current(batch_)); }

  alignas(nlmsghdr) std::array<char, kBatchSize> buffer_{};
  mnl_nlmsg_batch* batch_;
  std::uint32_t sequence_ = 0;
};

/// The first error among the answers, all of which are there once a batch is sent; 0: there is none.
int firstError(NetfilterSocket& socket) {
  NetfilterSocket::Buffer<NetfilterSocket::kMessageSize> buffer;
  int error = 0;
  for (;;) {
    const auto received = socket.receive(buffer);
    if (received.error == EAGAIN) return error;
    if (error == 0) error = received.error;
    forEachMessage(received.bytes, [&](const nlmsghdr& message) {
      if (message.nlmsg_type == NLMSG_ERROR && error == 0)
        error = -static_cast<const nlmsgerr*>(::mnl_nlmsg_get_payload(&message))->error;
      return true;
    });
  }
}

Status send(const Batch& batch) {
  constexpr const char* kDoing = "make a rule that queues packets";
  auto socket = NetfilterSocket::open(kTablesPart);
  if (!socket) return std::move(socket).error();
  if (::send(socket.value().fd(), batch.data(), batch.size(), 0) < 0) return netfilterError(kDoing, errno, kTablesPart);
  if (const int error = firstError(socket.value()); error != 0) return netfilterError(kDoing, error, kTablesPart);
  return success();
}

/// Of the chain as a whole where it has no expression.
Rule makeRule(const std::string& table, const std::string& chain) {
  Rule rule(::nftnl_rule_alloc());
  if (rule == nullptr) throw std::bad_alloc();
  ::nftnl_rule_set_u32(rule.get(), NFTNL_RULE_FAMILY, NFPROTO_INET);
  ::nftnl_rule_set_str(rule.get(), NFTNL_RULE_TABLE, table.c_str());
  ::nftnl_rule_set_str(rule.get(), NFTNL_RULE_CHAIN, chain.c_str());
  return rule;
}

void addTarget(nftnl_rule& rule, std::uint16_t queue) {
  const xt_NFQ_info_v3 said{.queuenum = queue, .queues_total = 1, .flags = NFQ_FLAG_BYPASS};
  auto* target = ::nftnl_expr_alloc("target");
  auto* info = std::calloc(1, kInfoSize);  // which the expression frees
  if (target == nullptr || info == nullptr) throw std::bad_alloc();
  std::memcpy(info, &said, sizeof(said));
  ::nftnl_expr_set_str(target, NFTNL_EXPR_TG_NAME, kTarget);
  ::nftnl_expr_set_u32(target, NFTNL_EXPR_TG_REV, kRevision);
  ::nftnl_expr_set(target, NFTNL_EXPR_TG_INFO, info, kInfoSize);
  ::nftnl_rule_add_expr(&rule, target);
}

void addQueueRule(Batch& batch, const std::string& table, const std::string& chain, std::uint16_t queue) {
  const Rule rule = makeRule(table, chain);
  addTarget(*rule, queue);
  batch.add(NFT_MSG_NEWRULE, NLM_F_CREATE | NLM_F_APPEND,
            [&](nlmsghdr* message) { ::nftnl_rule_nlmsg_build_payload(message, rule.get()); });
}

std::optional<std::uint16_t> queueOf(const nftnl_expr& expression) {
  const std::string_view name = ::nftnl_expr_get_str(&expression, NFTNL_EXPR_NAME);
  if (name == "queue") return ::nftnl_expr_get_u16(&expression, NFTNL_EXPR_QUEUE_NUM);
  if (name != "target" || ::nftnl_expr_get_str(&expression, NFTNL_EXPR_TG_NAME) != std::string_view(kTarget))
    return std::nullopt;
  std::uint32_t size = 0;
  const void* info = ::nftnl_expr_get(&expression, NFTNL_EXPR_TG_INFO, &size);
  if (info == nullptr || size < sizeof(xt_NFQ_info)) return std::nullopt;
  xt_NFQ_info said;  // how it begins in each revision
  std::memcpy(&said, info, sizeof(said));
  return said.queuenum;
}

/// Of the rule of a message that lists one.
std::optional<std::uint16_t> queueOf(const nlmsghdr& message, const std::string& chain) {
  const Rule rule = makeRule("", "");
  if (::nftnl_rule_nlmsg_parse(&message, rule.get()) < 0) return std::nullopt;
  const char* in = ::nftnl_rule_get_str(rule.get(), NFTNL_RULE_CHAIN);
  if (in == nullptr || in != chain) return std::nullopt;
  std::optional<std::uint16_t> queue;
  auto* each = ::nftnl_expr_iter_create(rule.get());
  if (each == nullptr) throw std::bad_alloc();
  while (const auto* expression = ::nftnl_expr_iter_next(each))
    if (!queue) queue = queueOf(*expression);
  ::nftnl_expr_iter_destroy(each);
  return queue;
}

}  // namespace

Status setQueueTarget(const std::string& table, const std::string& chain, std::uint16_t queue) {
  Batch batch;
  const Rule all = makeRule(table, chain);
  batch.add(NFT_MSG_DELRULE, 0, [&](nlmsghdr* message) { ::nftnl_rule_nlmsg_build_payload(message, all.get()); });
  addQueueRule(batch, table, chain, queue);
  batch.commit();
  return send(batch);
}

Status tryQueueTarget(const std::string& table) {
  constexpr const char* kChain = "to_queue";
  Batch batch;
  const NfTable its_table(::nftnl_table_alloc());
  const Chain its_chain(::nftnl_chain_alloc());
  if (its_table == nullptr || its_chain == nullptr) throw std::bad_alloc();
  ::nftnl_table_set_str(its_table.get(), NFTNL_TABLE_NAME, table.c_str());
  ::nftnl_chain_set_str(its_chain.get(), NFTNL_CHAIN_TABLE, table.c_str());
  ::nftnl_chain_set_str(its_chain.get(), NFTNL_CHAIN_NAME, kChain);
  batch.add(NFT_MSG_NEWTABLE, NLM_F_CREATE,
            [&](nlmsghdr* message) { ::nftnl_table_nlmsg_build_payload(message, its_table.get()); });
  batch.add(NFT_MSG_NEWCHAIN, NLM_F_CREATE,
            [&](nlmsghdr* message) { ::nftnl_chain_nlmsg_build_payload(message, its_chain.get()); });
  addQueueRule(batch, table, kChain, 0);
  return send(batch);
}

Result<std::optional<std::uint16_t>> queueOf(const std::string& table, const std::string& chain) {
  auto socket = NetfilterSocket::open(kTablesPart);
  if (!socket) return std::move(socket).error();
  alignas(nlmsghdr) std::array<char, kBatchSize> buffer{};
  const Rule all = makeRule(table, chain);
  auto* request = ::nftnl_nlmsg_build_hdr(buffer.data(), NFT_MSG_GETRULE, NFPROTO_INET, 0, 0);
  ::nftnl_rule_nlmsg_build_payload(request, all.get());
  std::optional<std::uint16_t> queue;
  const int error = socket.value().dump(*request, [&](const nlmsghdr& rule) {
    if (!queue) queue = queueOf(rule, chain);
  });
  if (error != 0) return netfilterError("read the rule that queues packets", error, kTablesPart);
  return queue;
}

}  // namespace lemonade::kernel
