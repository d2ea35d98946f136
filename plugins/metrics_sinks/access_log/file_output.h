// SPDX-License-Identifier: MIT
//
// Lines into a file, which others may write to and move away, or to standard error. A batch is one write. Where a write
// is cut short, as on a disk that is full, the rest of the line that was begun is the first that is written next time;
// the lines behind it are lost. One thread.
#pragma once

#include "output.h"

#include <cstddef>

namespace lemonade::access_log {

class FileOutput final : public Output {
 public:
  /// Opens the file, and makes it where there is none, for its owner to write and its group to read. Standard error
  /// where path is empty. Throws std::runtime_error where it cannot be opened.
  explicit FileOutput(std::string path);
  ~FileOutput() override;

  void add(std::string_view line, const lemonade_session_record_t& record) override;
  Written finish(std::uint64_t deadline_ns) override;
  void reopen() override;

 private:
  int open() const;
  std::size_t write(std::string_view bytes, std::uint64_t deadline_ns, int& error) const noexcept;
  bool finishBegun(std::uint64_t deadline_ns, int& error);
  Written loseBehind(std::size_t written, int error);

  const std::string path_;
  int fd_;
  std::string lines_;
  std::string begun_;           // a line of which only a part is in the file; "" where there is none
  std::size_t begun_part_ = 0;  // bytes of it that are
};

}  // namespace lemonade::access_log
