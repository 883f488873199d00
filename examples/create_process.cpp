/*
 * create_process.cpp - starts a container, runs a process in it and talks with it: handles that close themselves,
 * failures as exceptions.
 *
 * Build it after `cargo build --release`, in the root of the repository:
 *
 *   c++ -std=c++17 -Wall -Wextra -I crates/computecore/include examples/create_process.cpp \
 *       -L target/release -Wl,-rpath,$PWD/target/release -lcomputecore -o create_process
 *
 * or, where the library is installed:
 *
 *   c++ -std=c++17 examples/create_process.cpp $(pkg-config --cflags --libs computecore) -o create_process
 */

#include <ComputeCore.h>

#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <exception>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>
#include <type_traits>

namespace {

template <auto close>
struct Closer {
    template <class T>
    void operator()(T* handle) const { close(handle); }
};
template <class Handle, auto close>
using Owned = std::unique_ptr<std::remove_pointer_t<Handle>, Closer<close>>;

using System = Owned<HCS_SYSTEM, HcsCloseComputeSystem>;
using Process = Owned<HCS_PROCESS, HcsCloseProcess>;
using Operation = Owned<HCS_OPERATION, HcsCloseOperation>;
using Document = Owned<PWSTR, LocalFree>;

// A file descriptor of a process's stdio.
class Pipe {
public:
    explicit Pipe(HANDLE handle) : descriptor_(static_cast<int>(reinterpret_cast<std::intptr_t>(handle))) {}
    Pipe(const Pipe&) = delete;
    Pipe& operator=(const Pipe&) = delete;
    ~Pipe() { close(); }

    void close()
    {
        if (descriptor_ > 0) {
            ::close(descriptor_);
        }
        descriptor_ = 0;
    }

    void write(std::string_view text)
    {
        while (!text.empty()) {
            const auto sent = ::write(descriptor_, text.data(), text.size());
            if (sent < 0) {
                throw std::system_error(errno, std::generic_category(), "writing to the process");
            }
            text.remove_prefix(static_cast<std::size_t>(sent));
        }
    }

    std::string read_all()
    {
        std::string text;
        char buffer[512];
        for (;;) {
            const auto got = ::read(descriptor_, buffer, sizeof buffer);
            if (got < 0) {
                throw std::system_error(errno, std::generic_category(), "reading from the process");
            }
            if (got == 0) {
                return text;
            }
            text.append(buffer, static_cast<std::size_t>(got));
        }
    }

private:
    int descriptor_;
};

// Documents are ASCII unless names in another script are put into them.
std::string narrow(PCWSTR text)
{
    std::string result;
    for (; text != nullptr && *text != 0; ++text) {
        result += *text < 0x80 ? static_cast<char>(*text) : '?';
    }
    return result;
}

// Throws what failed and, from the ResultError document, why.
void check(const char* what, HRESULT result, PCWSTR document = nullptr)
{
    if (FAILED(result)) {
        char code[16];
        std::snprintf(code, sizeof code, "0x%08X", static_cast<unsigned>(result));
        throw std::runtime_error(std::string(what) + " failed with " + code + "\n" + narrow(document));
    }
}

// Waits for the call that `operation` tracks.
Document finish(const char* what, HRESULT started, const Operation& operation)
{
    check(what, started);
    PWSTR text = nullptr;
    const HRESULT result = HcsWaitForOperationResult(operation.get(), INFINITE, &text);
    Document document(text);
    check(what, result, text);
    return document;
}

void run_process(const System& system, const Operation& operation)
{
    HCS_PROCESS handle = nullptr;
    const HRESULT started = HcsCreateProcess(system.get(),
                                             u"{"
                                             u"  \"CommandLine\": \"cat\","
                                             u"  \"CreateStdInPipe\": true,"
                                             u"  \"CreateStdOutPipe\": true"
                                             u"}",
                                             operation.get(), nullptr, &handle);
    const Process process(handle);
    check("HcsCreateProcess", started);

    HCS_PROCESS_INFORMATION information;
    PWSTR text = nullptr;
    HRESULT result = HcsWaitForOperationResultAndProcessInfo(operation.get(), INFINITE, &information, &text);
    const Document document(text);
    check("HcsCreateProcess", result, text);
    std::printf("result document: %s\n", narrow(text).c_str());
    std::printf("process %u runs\n", information.ProcessId);

    Pipe to_process(information.StdInput);
    Pipe from_process(information.StdOutput);
    to_process.write("hello from the host\n");
    to_process.close();  // The process sees the end of its input.
    std::fputs(from_process.read_all().c_str(), stdout);

    result = HcsWaitForProcessExit(process.get(), INFINITE, &text);
    const Document status(text);
    check("HcsWaitForProcessExit", result);
    std::printf("exit status: %s\n", narrow(text).c_str());
}

void run()
{
    const Operation operation(HcsCreateOperation(nullptr, nullptr));
    check("HcsCreateOperation", operation ? S_OK : E_OUTOFMEMORY);

    std::u16string id = u"create-process-cpp-";
    for (const char digit : std::to_string(getpid())) {
        id += static_cast<char16_t>(digit);
    }
    HCS_SYSTEM handle = nullptr;
    const HRESULT started = HcsCreateComputeSystem(id.c_str(),
                                                   u"{"
                                                   u"  \"SchemaVersion\": { \"Major\": 2, \"Minor\": 1 },"
                                                   u"  \"Owner\": \"create_process.cpp\","
                                                   u"  \"ShouldTerminateOnLastHandleClosed\": true,"
                                                   u"  \"Container\": {}"
                                                   u"}",
                                                   operation.get(), nullptr, &handle);
    const System system(handle);
    finish("HcsCreateComputeSystem", started, operation);
    finish("HcsStartComputeSystem", HcsStartComputeSystem(system.get(), operation.get(), nullptr), operation);
    run_process(system, operation);
    finish("HcsTerminateComputeSystem", HcsTerminateComputeSystem(system.get(), operation.get(), nullptr), operation);
}

}  // namespace

int main()
{
    try {
        run();
        return 0;
    } catch (const std::exception& error) {
        std::fprintf(stderr, "%s\n", error.what());
        return 1;
    }
}
