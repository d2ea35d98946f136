// SPDX-License-Identifier: MIT
//
// Memory for code that cannot bear to be without: libraries whose functions promise not to throw and allocate all the
// same end the process where there is none.
#pragma once

namespace lemonade {

/// While one lives on a thread, operator new of that thread tries again for up to 5 seconds where there is no memory,
/// and throws only then. Not for threads that must not wait, such as workers. Any thread; may be nested.
class PatientMemory {
 public:
  PatientMemory() noexcept;
  ~PatientMemory();
  PatientMemory(const PatientMemory&) = delete;
  PatientMemory& operator=(const PatientMemory&) = delete;
};

}  // namespace lemonade
