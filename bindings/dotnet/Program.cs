// Runs a command in a new container, from .NET by P/Invoke. The declarations are those that a program on Windows has: the
// names of the libraries, HRESULTs as int, strings in UTF-16, handles as IntPtr.
using System;
using System.Diagnostics;
using System.IO;
using System.Runtime.InteropServices;
using System.Runtime.Serialization;
using System.Runtime.Serialization.Json;
using System.Text;
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

    /// <summary>What a document of type ResultError says, as far as it is used here.</summary>
    [DataContract]
    internal sealed class ResultError
    {
        [DataMember] public string ErrorMessage { get; set; }
        [DataMember] public ErrorEvent[] ErrorEvents { get; set; }
    }

    [DataContract]
    internal sealed class ErrorEvent
    {
        [DataMember] public string Message { get; set; }
        [DataMember] public string Source { get; set; }
        [DataMember] public EventData[] Data { get; set; }
    }

    [DataContract]
    internal sealed class EventData
    {
        [DataMember] public string Value { get; set; }
    }

    /// <summary>A call failed: the function, its HRESULT, and what its ResultError document says of why.</summary>
    internal sealed class HcsException : Exception
    {
        private readonly string _text;

        public HcsException(string function, int result, string document)
        {
            Function = function;
            HResult = result;
            Document = document;
            ResultError error = Read<ResultError>(document) ?? new ResultError();
            ErrorEvent[] events = error.ErrorEvents ?? new ErrorEvent[0];
            _text = function + " failed with 0x" + result.ToString("X8") + ": " + (error.ErrorMessage ?? "no document");
            for (int i = 0; i < events.Length; i++)
            {
                if (i == 0)
                {
                    Operation = OperationOf(events[i]);
                    continue;
                }
                if (!_text.Contains(events[i].Message))
                {
                    _text += "\n  " + events[i].Message;
                }
                Pointer = Pointer ?? events[i].Source;
            }
            if (Operation != null)
            {
                _text += "\n  operation " + Operation;
            }
        }

        /// <summary>The C function.</summary>
        public string Function { get; }

        /// <summary>A JSON pointer to what is wrong in the document of the call, or null.</summary>
        public string Pointer { get; }

        /// <summary>The name of the call for `hcs explain`, or null.</summary>
        public string Operation { get; }

        /// <summary>The whole ResultError, or null.</summary>
        public string Document { get; }

        public override string Message
        {
            get { return _text; }
        }

        /// <summary>Reads a JSON document; null for none.</summary>
        public static T Read<T>(string document) where T : class
        {
            if (string.IsNullOrEmpty(document))
            {
                return null;
            }
            using (var bytes = new MemoryStream(Encoding.UTF8.GetBytes(document)))
            {
                return (T)new DataContractJsonSerializer(typeof(T)).ReadObject(bytes);
            }
        }

        private static string OperationOf(ErrorEvent first)
        {
            const string Mark = "operation ";
            foreach (EventData fact in first.Data ?? new EventData[0])
            {
                if (fact.Value != null && fact.Value.StartsWith(Mark, StringComparison.Ordinal))
                {
                    return fact.Value.Substring(Mark.Length);
                }
            }
            return null;
        }
    }

    /// <summary>What a ProcessStatus document says, as far as it is used here.</summary>
    [DataContract]
    internal sealed class ProcessStatus
    {
        [DataMember] public uint ExitCode { get; set; }
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
            return new FileStream(new SafeFileHandle(handle, true), FileAccess.Read);
        }

        /// <summary>A JSON string.</summary>
        private static string Quoted(string text)
        {
            using (var bytes = new MemoryStream())
            {
                new DataContractJsonSerializer(typeof(string)).WriteObject(bytes, text);
                return Encoding.UTF8.GetString(bytes.ToArray());
            }
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
                return (int)HcsException.Read<ProcessStatus>(Take(status)).ExitCode;
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
