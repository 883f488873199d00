// A C++ program of Windows, with L"" and std::wstring: what a document and an id hold comes back as it was, also beyond
// the 16 bits of a wchar_t of Windows.
#include <ComputeCore.h>

#include <cstdint>
#include <iostream>
#include <stdexcept>
#include <string>
#include <unistd.h>

static std::wstring taken(PWSTR text)
{
    std::wstring copy = text == nullptr ? L"" : text;
    LocalFree(text);
    return copy;
}

static std::wstring wait_for(HCS_OPERATION operation, HRESULT begun)
{
    PWSTR document = nullptr;
    HRESULT result = FAILED(begun) ? begun : HcsWaitForOperationResult(operation, INFINITE, &document);
    std::wstring text = taken(document);
    if (FAILED(result)) {
        std::wcerr << text << std::endl;
        throw std::runtime_error("a call failed");
    }
    return text;
}

// The text of a property in a document; an escape of JSON is none of what is looked for here.
static std::wstring property(const std::wstring &document, const std::wstring &name)
{
    const std::wstring mark = L"\"" + name + L"\":\"";
    const std::size_t start = document.find(mark);
    if (start == std::wstring::npos)
        return L"";
    const std::size_t end = document.find(L'"', start + mark.size());
    return document.substr(start + mark.size(), end - start - mark.size());
}

static int check(bool is, const char *what)
{
    if (!is)
        std::cerr << "not so: " << what << std::endl;
    return is ? 0 : 1;
}

int main()
{
    static_assert(sizeof(wchar_t) == 4, "the wchar_t of Linux");
    const std::wstring id = L"gr\u00fc\u00dfe-\U0001F600-" + std::to_wstring(getpid());
    const std::wstring owner = L"\u5bb6 \U0001F3E0";
    const std::wstring document = L"{\"Owner\": \"" + owner +
        L"\", \"ShouldTerminateOnLastHandleClosed\": true, \"Container\": {\"GuestOs\": {\"HostName\": \"wide\"}}}";
    HCS_OPERATION operation = HcsCreateOperation(nullptr, nullptr);
    HCS_SYSTEM system = nullptr;
    int failed = 0;
    wait_for(operation, HcsCreateComputeSystem(id.c_str(), document.c_str(), operation, nullptr, &system));
    wait_for(operation, HcsStartComputeSystem(system, operation, nullptr));
    const std::wstring told = wait_for(operation, HcsGetComputeSystemProperties(system, operation, nullptr));
    failed += check(property(told, L"Id") == id, "the id comes back");
    failed += check(property(told, L"Owner") == owner, "the owner comes back");

    const std::wstring command =
        L"{\"CommandArgs\": [\"printf\", \"%s\", \"\u00e4\U0001F600\"], \"CreateStdOutPipe\": true}";
    HCS_PROCESS process = nullptr;
    HCS_PROCESS_INFORMATION information{};
    PWSTR result = nullptr;
    HRESULT created = HcsCreateProcess(system, command.c_str(), operation, nullptr, &process);
    failed += check(SUCCEEDED(created), "a process is begun");
    created = HcsWaitForOperationResultAndProcessInfo(operation, INFINITE, &information, &result);
    taken(result);
    failed += check(SUCCEEDED(created), "a process is made");
    std::string output;
    char bytes[64];
    ssize_t length;
    const int stream = static_cast<int>(reinterpret_cast<intptr_t>(information.StdOutput));
    while ((length = read(stream, bytes, sizeof bytes)) > 0)
        output.append(bytes, static_cast<std::size_t>(length));
    failed += check(output == "\xc3\xa4\xf0\x9f\x98\x80", "arguments are passed on in UTF-8");
    close(stream);
    HcsCloseProcess(process);

    // What is no character is refused, and not cut or replaced.
    const wchar_t beyond[] = {L'a', static_cast<wchar_t>(0x110000), 0};
    const wchar_t half[] = {L'a', static_cast<wchar_t>(0xD800), 0};
    for (const wchar_t *text : {beyond, half}) {
        HCS_SYSTEM none = nullptr;
        failed += check(HcsOpenComputeSystem(text, GENERIC_ALL, &none) == E_INVALIDARG, "no character is refused");
    }
    HcsCloseComputeSystem(system);
    HcsCloseOperation(operation);
    return failed == 0 ? 0 : 1;
}
