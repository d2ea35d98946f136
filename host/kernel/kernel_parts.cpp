// SPDX-License-Identifier: MIT
#include "kernel/kernel_parts.h"

#include "kernel/nft.h"
#include "kernel/queue_rule.h"
#include "kernel/rules.h"
#include "kernel/script.h"

namespace lemonade::kernel {

namespace {

/// A rule that takes one part of the kernel.
struct Part {
  const char* what;
  const char* option;
  const char* module;
  const char* chain;  ///< what its chain hooks into
  const char* rule;
};

constexpr const char* kFilter = "type filter hook output priority mangle";
constexpr const char* kSourceNat = "type nat hook postrouting priority srcnat";
constexpr const char* kDestinationNat = "type nat hook prerouting priority dstnat";

constexpr Part kParts[] = {
    {"nftables", "CONFIG_NF_TABLES_INET", "nf_tables", kFilter, "meta mark 1 accept"},
    {"connection tracking", "CONFIG_NFT_CT", "nft_ct", kFilter, "ct state new ct mark set meta mark"},
    {"address translation", "CONFIG_NFT_NAT", "nft_nat", kDestinationNat, "meta l4proto tcp dnat ip to 192.0.2.1:80"},
    {"masquerading", "CONFIG_NFT_MASQ", "nft_masq", kSourceNat, "masquerade"},
    {"random numbers", "CONFIG_NFT_NUMGEN", "nft_numgen", kFilter, "meta mark set numgen random mod 2"},
    {"resets", "CONFIG_NFT_REJECT_INET", "nft_reject_inet", kFilter, "meta mark 1 reject with tcp reset"},
    {"types of addresses", "CONFIG_NFT_FIB_INET", "nft_fib_inet", kFilter, "fib daddr type local accept"},
    {"packets that are not tracked", "CONFIG_NFT_CT", "nft_ct", "type filter hook output priority raw", "notrack"},
};

std::string hooked(const std::string& table, const char* hook, const char* rule) {
  const std::string name = " inet " + table + " probe ";
  return "add table inet " + table + "\nadd chain" + name + "{ " + hook + "; }\nadd rule" + name + rule + "\n";
}

/// A small one of everything that a table can have, but for the rule that queues.
TablePlan example() {
  using namespace std::chrono_literals;
  TablePlan plan;
  plan.tag = 1;
  std::vector<TablePlan::Choice> eligible;
  for (const char* address : {"192.0.2.1:80", "192.0.2.2:80", "[2001:db8::1]:80", "[2001:db8::2]:80"}) {
    const auto slot = static_cast<std::uint32_t>(plan.backends.size() + 1);
    plan.backends.push_back({slot, *Address::parse(address), "example", slot});
    eligible.push_back({slot, slot});
  }
  plan.listeners.push_back({1, {*Address::parse("192.0.2.3:80"), *Address::parse("[::]:80")}, false, 60s, eligible});
  return plan;
}

Status tryTable(const std::string& table) {
  return tryNft(wholeScript(table, contentsOf(example(), QueueBy::kTarget), {}));
}

}  // namespace

Status checkKernelParts(const std::string& table) {
  auto whole = tryTable(table);
  if (!whole) {
    for (const auto& part : kParts) {
      auto tried = tryNft(hooked(table, part.chain, part.rule));
      if (tried) continue;
      if (tried.error().message.find("CAP_NET_ADMIN") != std::string::npos) return tried;
      return Error{std::string("the kernel lacks ") + part.what + " (" + part.option + "; " + tried.error().message +
                   "): modprobe " + part.module + ", or boot a kernel that has it"};
    }
    return std::move(whole).error().in(
        "the kernel does not take the table (CONFIG_NF_CONNTRACK_TIMEOUT for idle_timeout)");
  }
  return checkQueueRule(table);
}

bool hasQueueExpression(const std::string& table) {
  return tryNft("add table inet " + table + "\nadd chain inet " + table + " probe\nadd rule inet " + table +
                " probe queue num 0 bypass\n")
      .ok();
}

Status checkQueueRule(const std::string& table) {
  if (hasQueueExpression(table)) return success();
  auto tried = tryQueueTarget(table);
  if (tried) return tried;
  return Error{
      "the kernel cannot queue packets to a program, neither by nftables (CONFIG_NFT_QUEUE) nor by xtables "
      "(CONFIG_NETFILTER_XT_TARGET_NFQUEUE with CONFIG_NFT_COMPAT; " +
      tried.error().message + "): modprobe nft_queue, or xt_NFQUEUE and nft_compat"};
}

}  // namespace lemonade::kernel
