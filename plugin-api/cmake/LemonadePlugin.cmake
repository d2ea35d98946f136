# SPDX-License-Identifier: MIT
#
# lemonade_add_plugin(NAME source...): a shared object NAME.so that exports the entry symbol and nothing else. Sources may
# be C or C++.
#
# Hidden visibility, no GNU-unique symbols and the version script together keep two generations of a plugin from sharing
# statics; -z defs refuses a plugin that needs a symbol nobody gives it. A test judges the result with plugin-validate; a
# plugin that does not start without some option gets it there by the variable NAME_OPTIONS, a list of key=value.
function(lemonade_add_plugin name)
  set(map ${CMAKE_CURRENT_FUNCTION_LIST_DIR}/plugin.map)
  add_library(${name} MODULE ${ARGN})
  target_link_libraries(${name} PRIVATE Lemonade::plugin-api)
  get_property(languages GLOBAL PROPERTY ENABLED_LANGUAGES)
  if(CXX IN_LIST languages)
    target_compile_features(${name} PRIVATE cxx_std_20)
  endif()
  if(C IN_LIST languages)
    target_compile_features(${name} PRIVATE c_std_11)
  endif()
  set_target_properties(${name} PROPERTIES PREFIX "" C_VISIBILITY_PRESET hidden CXX_VISIBILITY_PRESET hidden
                                           VISIBILITY_INLINES_HIDDEN ON LINK_DEPENDS ${map})
  target_compile_options(${name} PRIVATE $<$<CXX_COMPILER_ID:GNU>:-fno-gnu-unique>)
  target_link_options(${name} PRIVATE "-Wl,--version-script=${map}" -Wl,-z,now -Wl,-z,relro)
  # A sanitizer's run-time library comes from the executable that loads the plugin.
  if(NOT LEMONADE_SANITIZE)
    target_link_options(${name} PRIVATE -Wl,-z,defs)
  endif()
  # The balancer loads no code that others may write; some umasks would let them.
  add_custom_command(TARGET ${name} POST_BUILD COMMAND chmod go-w $<TARGET_FILE:${name}> VERBATIM)
  # Where plugin-validate is installed with the package, and the project has said enable_testing().
  if(LEMONADE_PLUGIN_VALIDATE)
    set(options ${${name}_OPTIONS})
    list(TRANSFORM options PREPEND "--option=")
    add_test(NAME "${name}: plugin-validate accepts it"
             COMMAND ${LEMONADE_PLUGIN_VALIDATE} ${options} $<TARGET_FILE:${name}>)
  endif()
endfunction()
