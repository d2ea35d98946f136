// SPDX-License-Identifier: MIT
#include "kernel/nft.h"

#include "kernel/netfilter_socket.h"

#include <linux/netfilter/nf_tables.h>
#include <nftables/libnftables.h>

#include <memory>
#include <string_view>

namespace lemonade::kernel {

namespace {

constexpr std::size_t kLongestCommand = 200;

struct FreeContext {
  void operator()(nft_ctx* context) const noexcept { ::nft_ctx_free(context); }
};
using Context = std::unique_ptr<nft_ctx, FreeContext>;

/// Whether the kernel answers this process: without a socket libnftables ends the process, and without the right it
/// writes to standard error.
Status checkRight() {
  auto socket = NetfilterSocket::open(kTablesPart);
  if (!socket) return std::move(socket).error();
  NetfilterSocket::Buffer<NetfilterSocket::kMessageSize> buffer;
  auto* request = ::mnl_nlmsg_put_header(buffer.data());
  request->nlmsg_type = NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_GETGEN;
  auto* head = static_cast<nfgenmsg*>(::mnl_nlmsg_put_extra_header(request, sizeof(nfgenmsg)));
  *head = {AF_UNSPEC, NFNETLINK_V0, 0};
  const int error = socket.value().ask(*request);
  return error == 0 ? success() : netfilterError("use nftables", error, kTablesPart);
}

/// A context of its own for each command: what one keeps of the rules of the whole machine would only grow old.
Result<Context> open() {
  if (auto right = checkRight(); !right) return std::move(right).error();
  Context context(::nft_ctx_new(NFT_CTX_DEFAULT));
  if (context == nullptr) return Error{"no context of libnftables: out of memory"};
  if (::nft_ctx_buffer_output(context.get()) != 0 || ::nft_ctx_buffer_error(context.get()) != 0)
    return Error{"no buffer of libnftables: out of memory"};
  return context;
}

/// The first error of what nft wrote, on one line with the command that it is about.
std::string firstError(std::string_view written) {
  constexpr std::string_view kBegin = "Error: ";
  if (const auto begin = written.find(kBegin); begin != std::string_view::npos)
    written.remove_prefix(begin + kBegin.size());
  const auto end = written.find('\n');
  std::string text(written.substr(0, end));
  if (end == std::string_view::npos) return text;
  const auto command = written.substr(end + 1, written.find('\n', end + 1) - end - 1);
  if (!command.empty()) text += " (" + std::string(command.substr(0, kLongestCommand)) + ")";
  return text;
}

Status run(nft_ctx& context, const std::string& commands) {
  if (::nft_run_cmd_from_buffer(&context, commands.c_str()) == 0) return success();
  const char* written = ::nft_ctx_get_error_buffer(&context);
  return Error{"nft: " + firstError(written == nullptr ? "" : written)};
}

}  // namespace

Status runNft(const std::string& commands) {
  auto context = open();
  if (!context) return std::move(context).error();
  return run(*context.value(), commands);
}

Status tryNft(const std::string& commands) {
  auto context = open();
  if (!context) return std::move(context).error();
  ::nft_ctx_set_dry_run(context.value().get(), true);
  return run(*context.value(), commands);
}

Result<std::string> listNft(const std::string& command) {
  auto context = open();
  if (!context) return std::move(context).error();
  ::nft_ctx_output_set_flags(context.value().get(), NFT_CTX_OUTPUT_JSON | NFT_CTX_OUTPUT_NUMERIC_ALL);
  if (auto listed = run(*context.value(), command); !listed) return std::move(listed).error();
  const char* written = ::nft_ctx_get_output_buffer(context.value().get());
  return std::string(written == nullptr ? "" : written);
}

}  // namespace lemonade::kernel
