// Runs a command in a new container, from .NET by P/Invoke. The declarations are those that a program on Windows has: the
// names of the libraries, HRESULTs as int, strings in UTF-16, handles as IntPtr.
using System;
using System.Diagnostics;
using System.IO;
using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace HcsRun
{
    [StructLayout(LayoutKind.Sequential)]
    internal struct ProcessInformation
    {
        public uint ProcessId;
        public uint Reserved;
        public IntPtr StdInput;
        public IntPtr StdOutput;
        public IntPtr StdError;
    }

    internal static class Native
    {
        // On Linux this finds libcomputecore.dll.so, a link that `cargo xtask install` makes.
        private const string Library = "computecore.dll";

        public const uint Infinite = uint.MaxValue;

        [DllImport(Library)]
        public static extern IntPtr HcsCreateOperation(IntPtr context, IntPtr callback);

        [DllImport(Library)]
        public static extern void HcsCloseOperation(IntPtr operation);

        [DllImport(Library)]
        public static extern int HcsWaitForOperationResult(IntPtr operation, uint timeoutMs, out IntPtr document);

        [DllImport(Library)]
        public static extern int HcsWaitForOperationResultAndProcessInfo(
            IntPtr operation, uint timeoutMs, out ProcessInformation information, out IntPtr document);

        [DllImport(Library, CharSet = CharSet.Unicode)]
        public static extern int HcsCreateComputeSystem(
            string id, string configuration, IntPtr operation, IntPtr securityDescriptor, out IntPtr system);

        [DllImport(Library, CharSet = CharSet.Unicode)]
        public static extern int HcsStartComputeSystem(IntPtr system, IntPtr operation, string options);

        [DllImport(Library)]
        public static extern void HcsCloseComputeSystem(IntPtr system);

        [DllImport(Library, CharSet = CharSet.Unicode)]
        public static extern int HcsCreateProcess(
            IntPtr system, string parameters, IntPtr operation, IntPtr securityDescriptor, out IntPtr process);

        [DllImport(Library)]
        public static extern int HcsWaitForProcessExit(IntPtr process, uint timeoutMs, out IntPtr document);

        [DllImport(Library)]
        public static extern void HcsCloseProcess(IntPtr process);
    }

    /// <summary>A call failed: the function, its HRESULT, and the ResultError document that says why.</summary>
    internal sealed class HcsException : Exception
    {
        public HcsException(string function, int result, string document)
            : base(function + " failed with 0x" + result.ToString("X8") + ": " + (document ?? "no document"))
        {
            HResult = result;
        }
    }

    internal static class Program
    {
        /// <summary>Copies a string that the library gave, and releases it.</summary>
        private static string Take(IntPtr text)
        {
            string copy = Marshal.PtrToStringUni(text);
            Marshal.FreeHGlobal(text);
            return copy;
        }

        private static void Check(string function, int result, string document = null)
        {
            if (result < 0)
            {
                throw new HcsException(function, result, document);
            }
        }

        private static void Wait(string function, IntPtr operation, int begun)
        {
            Check(function, begun);
            int result = Native.HcsWaitForOperationResult(operation, Native.Infinite, out IntPtr document);
            Check(function, result, Take(document));
        }

        /// <summary>The stream behind a HANDLE, which is a file descriptor here, as in a SafeFileHandle on Linux.</summary>
        private static Stream Open(IntPtr handle)
        {
#if __MonoCS__
            // Mono knows only the handles that it has made; the tests run this with it.
            return new FileStream("/proc/self/fd/" + handle, FileMode.Open, FileAccess.Read);
#else
            return new FileStream(new SafeFileHandle(handle, true), FileAccess.Read);
#endif
        }

        private static string Quoted(string text)
        {
            return "\"" + text.Replace("\\", "\\\\").Replace("\"", "\\\"") + "\"";
        }

        /// <summary>The exit code of a ProcessStatus document.</summary>
        private static int ExitCode(string status)
        {
            const string Name = "\"ExitCode\":";
            int start = status.IndexOf(Name, StringComparison.Ordinal) + Name.Length;
            int end = status.IndexOfAny(new[] { ',', '}' }, start);
            return int.Parse(status.Substring(start, end - start).Trim());
        }

        private static int Run(string[] command)
        {
            IntPtr operation = Native.HcsCreateOperation(IntPtr.Zero, IntPtr.Zero);
            IntPtr system = IntPtr.Zero;
            IntPtr process = IntPtr.Zero;
            try
            {
                string id = "run-dotnet-" + Process.GetCurrentProcess().Id;
                string box = "{\"Owner\":\"dotnet\",\"ShouldTerminateOnLastHandleClosed\":true,\"Container\":{}}";
                int begun = Native.HcsCreateComputeSystem(id, box, operation, IntPtr.Zero, out system);
                Wait("HcsCreateComputeSystem", operation, begun);
                Wait("HcsStartComputeSystem", operation, Native.HcsStartComputeSystem(system, operation, null));

                string words = string.Join(",", Array.ConvertAll(command, Quoted));
                string parameters = "{\"CommandArgs\":[" + words + "],\"CreateStdOutPipe\":true}";
                Check("HcsCreateProcess",
                    Native.HcsCreateProcess(system, parameters, operation, IntPtr.Zero, out process));
                int created = Native.HcsWaitForOperationResultAndProcessInfo(
                    operation, Native.Infinite, out ProcessInformation information, out IntPtr document);
                Check("HcsCreateProcess", created, Take(document));

                using (var output = new StreamReader(Open(information.StdOutput)))
                {
                    Console.Write(output.ReadToEnd());
                }
                Check("HcsWaitForProcessExit",
                    Native.HcsWaitForProcessExit(process, Native.Infinite, out IntPtr status));
                return ExitCode(Take(status));
            }
            finally
            {
                Native.HcsCloseProcess(process);
                Native.HcsCloseComputeSystem(system);
                Native.HcsCloseOperation(operation);
            }
        }

        private static int Main(string[] arguments)
        {
            try
            {
                return Run(arguments.Length > 0 ? arguments : new[] { "uname", "-a" });
            }
            catch (HcsException failure)
            {
                Console.Error.WriteLine(failure.Message);
                return 125;
            }
        }
    }
}
