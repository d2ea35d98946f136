/* SPDX-License-Identifier: MIT
 *
 * What two plugins of the zoo are linked with; see CMakeLists.txt. */
int fromTheLibrary(void);
int fromTheLibrary(void) { return 1; }
