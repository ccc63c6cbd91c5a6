"""lgalloc for Conan 2: conan create c/packaging/conan"""
import os
import re

from conan import ConanFile
from conan.errors import ConanInvalidConfiguration
from conan.tools.cmake import CMake, CMakeToolchain, cmake_layout
from conan.tools.files import copy, load, rm, rmdir


class Lgalloc(ConanFile):
    name = "lgalloc"
    description = "Allocator for large memory: power-of-two regions from 64 KiB to 64 GiB"
    license = "Apache-2.0 OR MIT"
    topics = ("allocator", "memory", "large-allocations")
    package_type = "library"
    settings = "os", "arch", "compiler", "build_type"
    languages = "C"
    options = {"shared": [True, False]}
    default_options = {"shared": False}

    def _tree(self):
        return os.path.join(self.recipe_folder, "..", "..", "..")

    def set_version(self):
        header = load(self, os.path.join(self._tree(), "include", "lgalloc.h"))
        parts = re.findall(r"^#define LGALLOC_VERSION_(?:MAJOR|MINOR|PATCH) (\d+)$", header, re.MULTILINE)
        self.version = ".".join(parts)

    def export_sources(self):
        for pattern in ("c/*", "include/*", "LICENSE-*"):
            copy(self, pattern, self._tree(), self.export_sources_folder)

    def validate(self):
        if self.settings.os != "Linux" or self.settings.arch not in ("x86_64", "armv8"):
            raise ConanInvalidConfiguration("lgalloc needs 64-bit Linux")

    def layout(self):
        cmake_layout(self)

    def generate(self):
        toolchain = CMakeToolchain(self)
        toolchain.cache_variables["LGALLOC_PROGRAMS"] = False
        toolchain.cache_variables["CMAKE_INSTALL_LIBDIR"] = "lib"
        toolchain.generate()

    def build(self):
        cmake = CMake(self)
        cmake.configure(build_script_folder="c")
        cmake.build()

    def package(self):
        CMake(self).install()
        lib = os.path.join(self.package_folder, "lib")
        # One library, which Conan's own files describe.
        rm(self, "liblgalloc.a" if self.options.shared else "liblgalloc.so*", lib)
        rmdir(self, os.path.join(lib, "cmake"))
        rmdir(self, os.path.join(lib, "pkgconfig"))
        copy(self, "LICENSE-*", self.source_folder, os.path.join(self.package_folder, "licenses"))

    def package_info(self):
        self.cpp_info.libs = ["lgalloc"]
        self.cpp_info.system_libs = ["pthread", "dl"]
