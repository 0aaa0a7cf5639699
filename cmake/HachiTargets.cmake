# hachi_library(FOLDER SOURCES ... USES ...): the library of one folder of src/, named hachi_FOLDER.
# USES names folders below it or imported targets; tools/check_layers.py holds them to the layers.
function(hachi_library folder)
  cmake_parse_arguments(arg "" "" "SOURCES;USES" ${ARGN})
  add_library(hachi_${folder} STATIC ${arg_SOURCES})
  target_include_directories(hachi_${folder} PUBLIC ${CMAKE_SOURCE_DIR}/src)
  foreach(used ${arg_USES})
    if(TARGET hachi_${used})
      target_link_libraries(hachi_${folder} PUBLIC hachi_${used})
    else()
      target_link_libraries(hachi_${folder} PUBLIC ${used})
    endif()
  endforeach()
endfunction()

# hachi_test(FOLDER SOURCES ... USES ...): the GoogleTest program FOLDER_test.
function(hachi_test folder)
  cmake_parse_arguments(arg "" "" "SOURCES;USES" ${ARGN})
  add_executable(${folder}_test ${arg_SOURCES})
  target_link_libraries(${folder}_test PRIVATE hachi_${folder} ${arg_USES} GTest::gtest_main)
  target_include_directories(${folder}_test PRIVATE ${CMAKE_SOURCE_DIR}/tests)
  target_compile_definitions(${folder}_test PRIVATE
    HACHI_TEST_DIR="${CMAKE_SOURCE_DIR}/tests"
    HACHI_REFERENCE_DIR="${CMAKE_SOURCE_DIR}/../shared/reference")
  add_test(NAME ${folder} COMMAND ${folder}_test)
endfunction()

# hachi_fuzzer(NAME USES ...): fuzz/NAME.cc as a libFuzzer program over fuzz/corpus/NAME.
function(hachi_fuzzer name)
  cmake_parse_arguments(arg "" "" "USES" ${ARGN})
  add_executable(fuzz_${name} ${name}.cc)
  target_link_libraries(fuzz_${name} PRIVATE ${arg_USES})
  target_compile_options(fuzz_${name} PRIVATE -fsanitize=fuzzer)
  target_link_options(fuzz_${name} PRIVATE -fsanitize=fuzzer)
endfunction()
