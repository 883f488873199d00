//! The sentences that people get to read when a document is wrong, word for word.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use hcs_schema::documents::find;

/// A document by name, a text, and the causes of its failure.
type Case = (&'static str, &'static str, &'static [&'static str]);

fn assert_causes(cases: &[Case]) {
    for (name, text, expected) in cases {
        let document = find(name).unwrap_or_else(|| panic!("no document {name}"));
        let failure = (document.parse)(text).unwrap_err();
        let causes: Vec<_> = failure.causes.iter().map(|c| c.message.as_str()).collect();
        assert_eq!(causes, *expected, "{name} {text}");
        let more = match expected.len() {
            1 => String::new(),
            n => format!(" (and {} more)", n - 1),
        };
        let message = format!(
            "the {} document is invalid: {}{more}",
            document.shape.name, expected[0]
        );
        assert_eq!(failure.message, message);
    }
}

#[test]
fn what_is_not_json() {
    assert_causes(WHAT_IS_NOT_JSON);
}

#[test]
fn systems() {
    assert_causes(SYSTEMS);
}

#[test]
fn processes() {
    assert_causes(PROCESSES);
}

#[test]
fn others() {
    assert_causes(OTHERS);
}

const WHAT_IS_NOT_JSON: &[Case] = &[
    (
        "ComputeSystem",
        "",
        &["line 1, column 1: it is empty where a JSON object is expected"],
    ),
    (
        "ComputeSystem",
        "nonsense",
        &["line 1, column 2: this is not JSON: a value is expected"],
    ),
    (
        "ComputeSystem",
        "[]",
        &["line 1, column 1: found an array where an object (ComputeSystem) is expected"],
    ),
    (
        "ComputeSystem",
        "{\"Owner\": \"a\"\n \"Container\": {}}",
        &["line 2, column 2: this is not JSON: expected `,` or `}`"],
    ),
    (
        "ComputeSystem",
        r#"{"Owner": "a", "#,
        &["line 1, column 15: the text ends too early: a value is missing"],
    ),
    (
        "ComputeSystem",
        r#"{"Container": {}} x"#,
        &["line 1, column 19: this is not JSON: there is more text behind the end"],
    ),
    (
        "ComputeSystem",
        r#"{"Container": {},}"#,
        &["line 1, column 18: this is not JSON: a comma has nothing behind it"],
    ),
    (
        "ComputeSystem",
        "{\"Owner\": \"a\nb\"}",
        &[
            r#"/Owner (line 1, column 13): this is not JSON: control character (\u0000-\u001F) found while parsing a string"#,
        ],
    ),
    (
        "ComputeSystem",
        r#"{"Owner": "\ud800"}"#,
        &["/Owner (line 1, column 18): this is not JSON: unexpected end of hex escape"],
    ),
    (
        "ComputeSystem",
        r#"{"Owner": 1e999}"#,
        &["/Owner (line 1, column 15): this is not JSON: number out of range"],
    ),
    (
        "ComputeSystem",
        r#"{"Owner": "é😀" ; 1}"#,
        &["line 1, column 16: this is not JSON: expected `,` or `}`"],
    ),
    (
        "ComputeSystem",
        "{\"Container\": {},\n  \"Container\": {}}",
        &[r#"/Container (line 2, column 3): the name "Container" is given twice"#],
    ),
];

const SYSTEMS: &[Case] = &[
    (
        "Storage",
        r#"{"Layers": [{"Path": "a"}, {"Path": "a", "PathType": "VirtualSmbShareName"}, {"Path": "C:\\a"}], "Path": "./b"}"#,
        &[
            r#"/Layers/0/Path (line 1, column 22): "a" is not absolute; expected an absolute path"#,
            r#"/Path (line 1, column 106): "./b" is not absolute; expected an absolute path"#,
        ],
    ),
    // Of version 1 of the schema.
    (
        "ComputeSystem",
        r#"{"SystemType": "Container", "Name": "x", "Owner": "docker", "LayerFolderPath": "/x", "HvPartition": false}"#,
        &[
            r#"/SystemType (line 1, column 2): this is a document of version 1 of the schema (it has "SystemType"), which belongs to the API before this one; version 2 is read here: {"SchemaVersion": {"Major": 2, "Minor": 1}, "Container": {"Storage": {"Layers": ...}, "Memory": ..., "MappedDirectories": ...}}"#,
        ],
    ),
    (
        "ModifySettingRequest",
        r#"{"ResourceType": "Memory", "RequestType": "Update", "Settings": 1}"#,
        &[
            r#"/ResourceType (line 1, column 2): this is a document of version 1 of the schema (it has "ResourceType"), which belongs to the API before this one; version 2 is read here, which names the resource by its ResourcePath, for example "Container/Memory/SizeInMB""#,
        ],
    ),
    (
        "ProcessParameters",
        r#"{"CommandLine": "true", "CreateInUtilityVm": true}"#,
        &[
            r#"/CreateInUtilityVm (line 1, column 25): "CreateInUtilityVm" is not a property of ProcessParameters: it belongs to version 1 of the schema; a process always runs in the compute system that it is created in, so leave it out"#,
        ],
    ),
    (
        "ProcessParameters",
        r#"{"CommandLine": "true", "CreateInSomething": true}"#,
        &[
            r#"/CreateInSomething (line 1, column 25): "CreateInSomething" is not a property of ProcessParameters; expected one of the 22 properties of ProcessParameters"#,
        ],
    ),
    (
        "ComputeSystem",
        "{}",
        &[
            r#"line 1, column 1: it says nothing of the system to create; expected exactly one of "Container", "VirtualMachine" and "HostedSystem""#,
        ],
    ),
    (
        "ComputeSystem",
        r#"{"Container": {}, "VirtualMachine": {}}"#,
        &[
            r#"line 1, column 1: "Container" and "VirtualMachine" are given together; expected exactly one of "Container", "VirtualMachine" and "HostedSystem""#,
        ],
    ),
    (
        "ComputeSystem",
        r#"{"container": {}}"#,
        &[
            r#"/container (line 1, column 2): "container" is not a property of ComputeSystem; did you mean "Container"?"#,
        ],
    ),
    (
        "ComputeSystem",
        r#"{"Container": null}"#,
        &[
            r#"line 1, column 1: it says nothing of the system to create; expected exactly one of "Container", "VirtualMachine" and "HostedSystem""#,
        ],
    ),
    (
        "ComputeSystem",
        r#"{"SchemaVersion": {"Major": 1}, "Container": {}}"#,
        &[
            "/SchemaVersion/Major (line 1, column 29): documents of version 1 belong to the API before this one; expected schema version 2.x",
        ],
    ),
    (
        "ComputeSystem",
        r#"{"SchemaVersion": {"Major": 2.5}, "Container": {}}"#,
        &[
            "/SchemaVersion/Major (line 1, column 29): 2.5 is not a whole number from 0 to 4294967295",
        ],
    ),
    (
        "ComputeSystem",
        r#"{"SchemaVersion": {"Major": -2}, "Container": {"Storage": {"Layers": [{"Id": "x", "Path": "/"}]}}}"#,
        &[
            "/SchemaVersion/Major (line 1, column 29): -2 is not a whole number from 0 to 4294967295",
            r#"/Container/Storage/Layers/0/Id (line 1, column 78): "x" is not a GUID like 17103e3f-3c6e-4677-bb17-3b267eb5be57"#,
        ],
    ),
    (
        "ComputeSystem",
        r#"{"Container": {"Storage": {"Layers": [{}, null, {"Path":"/a","PathType":"absolutepath"}]}}}"#,
        &[
            "/Container/Storage/Layers/1 (line 1, column 43): found null where an object (Layer) is expected",
            r#"/Container/Storage/Layers/2/PathType (line 1, column 73): "absolutepath" is not a value of PathType; did you mean "AbsolutePath"?"#,
        ],
    ),
    (
        "ComputeSystem",
        "{\"Container\": {\"Storage\": {\"Layers\": [{}, {\"Path\":\"/a\0b\"}]}}}",
        &[
            "/Container/Storage/Layers/1/Path (line 1, column 54): this is not JSON: it holds U+0000, or, as UTF-16, a surrogate without its pair",
        ],
    ),
    (
        "ComputeSystem",
        r#"{"Container": {"Storage": {"Layers": [{}, {"Path":"/a\u0000b"}], "Path": ""}}}"#,
        &[
            r#"/Container/Storage/Layers/0 (line 1, column 39): the property "Path" is missing"#,
            r#"/Container/Storage/Layers/1/Path (line 1, column 51): "/a\0b" holds a NUL character; expected a string without NUL characters"#,
            "/Container/Storage/Path (line 1, column 74): it is empty; expected a string of at least one character",
        ],
    ),
    (
        "ComputeSystem",
        r#"{"Container": {"MappedDirectories": [{"HostPath": "data", "ContainerPath": "/x"}], "MappedPipes": [{"HostPath": ""}]}}"#,
        &[
            r#"/Container/MappedDirectories/0/HostPath (line 1, column 51): "data" is not absolute; expected an absolute path"#,
            r#"/Container/MappedPipes/0 (line 1, column 100): the property "ContainerPipeName" is missing"#,
            "/Container/MappedPipes/0/HostPath (line 1, column 113): it is empty; expected a string of at least one character",
        ],
    ),
    (
        "ComputeSystem",
        r#"{"Container": {"Memory": {"SizeInMB": 0}, "Processor": {"Count": 2, "Weight": 10001}, "Networking": {"Namespace": ""}}}"#,
        &[
            "/Container/Memory/SizeInMB (line 1, column 39): 0 is not a size; expected at least 1 megabyte",
            r#"/Container/Processor (line 1, column 56): "Count" and "Weight" are given together; expected only one of "Count", "Maximum" and "Weight""#,
            "/Container/Processor/Weight (line 1, column 79): 10001 is not a whole number from 0 to 10000",
            "/Container/Networking/Namespace (line 1, column 115): it is empty; expected a string of at least one character",
        ],
    ),
    (
        "MappedDevice",
        r#"{"HostPath": "dev/x", "Access": "rx"}"#,
        &[
            r#"/HostPath (line 1, column 14): "dev/x" is not absolute; expected an absolute path"#,
            r#"/Access (line 1, column 33): it is "rx"; expected letters out of "rwm", such as "r" or "rw""#,
        ],
    ),
    (
        "Container_Processor",
        r#"{"Maximum": 0}"#,
        &["/Maximum (line 1, column 13): 0 is not a whole number from 1 to 10000"],
    ),
    (
        "GuestOs",
        r#"{"HostName": "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"}"#,
        &[
            r#"/HostName (line 1, column 14): "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa" is 73 bytes long; expected a host name of at most 64 bytes"#,
        ],
    ),
];

const PROCESSES: &[Case] = &[
    (
        "ProcessParameters",
        "{}",
        &[
            r#"line 1, column 1: neither "CommandLine" nor "CommandArgs" is given; expected exactly one of "CommandLine" and "CommandArgs""#,
        ],
    ),
    (
        "ProcessParameters",
        r#"{"CommandLine": "a", "CommandArgs": ["a"]}"#,
        &[
            r#"line 1, column 1: both "CommandLine" and "CommandArgs" are given; expected exactly one of "CommandLine" and "CommandArgs""#,
        ],
    ),
    (
        "ProcessParameters",
        r#"{"CommandArgs": []}"#,
        &[
            "/CommandArgs (line 1, column 17): it is empty; expected at least the name of the program",
        ],
    ),
    (
        "ProcessParameters",
        r#"{"CommandArgs": [""]}"#,
        &["/CommandArgs/0 (line 1, column 18): it is empty; expected the name of the program"],
    ),
    (
        "ProcessParameters",
        r#"{"CommandLine": "  "}"#,
        &["/CommandLine (line 1, column 17): it is blank; expected a program and its arguments"],
    ),
    (
        "ProcessParameters",
        r#"{"CommandLine": "a", "ConsoleSize": [70000, 1, 2]}"#,
        &["/ConsoleSize/0 (line 1, column 38): 70000 is not a whole number from 0 to 65535"],
    ),
    (
        "ProcessParameters",
        r#"{"CommandLine": "a", "ConsoleSize": [1, 1, 2]}"#,
        &[
            "/ConsoleSize (line 1, column 37): it has 3 elements; expected two numbers: height, then width",
        ],
    ),
    (
        "ProcessParameters",
        r#"{"CommandLine": "a", "Environment": {"A=B": "x", "": "", "C": "\u0000", "D": 1}}"#,
        &["/Environment/D (line 1, column 78): found the number 1 where a string is expected"],
    ),
    (
        "ProcessParameters",
        r#"{"CommandLine": "a", "Environment": {"A=B": "x", "": "", "C": "\u0000", "C/~": ""}}"#,
        &[
            r#"/Environment/A=B (line 1, column 38): "A=B" cannot name an environment variable, which has at least one character and neither '=' nor NUL"#,
            r#"/Environment/ (line 1, column 50): "" cannot name an environment variable, which has at least one character and neither '=' nor NUL"#,
            r#"/Environment/C (line 1, column 63): "\0" holds a NUL character; expected a string without NUL characters"#,
        ],
    ),
    (
        "ProcessModifyRequest",
        "{}",
        &[r#"line 1, column 1: the property "Operation" is missing"#],
    ),
    (
        "ProcessModifyRequest",
        r#"{"Operation": "ConsoleSize"}"#,
        &[r#"line 1, column 1: the property "ConsoleSize" is missing"#],
    ),
    (
        "ProcessModifyRequest",
        r#"{"Operation": "CloseHandle", "CloseHandle": {"Handle": "Stdin"}}"#,
        &[
            r#"/CloseHandle/Handle (line 1, column 56): "Stdin" is not a value of StdHandle; did you mean "StdIn"?"#,
        ],
    ),
    (
        "SignalProcessOptions",
        r#"{"Signal": 65}"#,
        &[
            r#"/Signal (line 1, column 12): 65 is not the number of a signal; expected a signal: "CtrlC", "CtrlBreak", "CtrlClose", "CtrlLogOff", "CtrlShutdown", a Linux signal's name such as "SIGTERM", or its number from 0 to 64"#,
        ],
    ),
    (
        "SignalProcessOptions",
        r#"{"Signal": "SIGFOO"}"#,
        &[
            r#"/Signal (line 1, column 12): "SIGFOO" is not a signal; expected a signal: "CtrlC", "CtrlBreak", "CtrlClose", "CtrlLogOff", "CtrlShutdown", a Linux signal's name such as "SIGTERM", or its number from 0 to 64"#,
        ],
    ),
    (
        "SignalProcessOptions",
        r#"{"Signal": []}"#,
        &[
            r#"/Signal (line 1, column 12): found an array where a signal is expected; expected a signal: "CtrlC", "CtrlBreak", "CtrlClose", "CtrlLogOff", "CtrlShutdown", a Linux signal's name such as "SIGTERM", or its number from 0 to 64"#,
        ],
    ),
    (
        "ModifySettingRequest",
        "{}",
        &[
            r#"line 1, column 1: it does not say what to change; expected "ResourcePath", or "GuestRequest""#,
        ],
    ),
];

const OTHERS: &[Case] = &[
    (
        "SystemQuery",
        r#"{"Types": ["Containers"], "Id": []}"#,
        &[
            r#"/Types/0 (line 1, column 12): "Containers" is not a value of SystemType; did you mean "Container"?"#,
            r#"/Id (line 1, column 27): "Id" is not a property of SystemQuery; did you mean "Ids"?"#,
        ],
    ),
    (
        "NetworkAdapter",
        r#"{"MacAddress": "1", "EndpointId": "{17103e3f-3c6e-4677-bb17-3b267eb5be57}"}"#,
        &[
            r#"/MacAddress (line 1, column 16): "1" is not a MAC address like 00-15-5D-01-02-03"#,
            r#"/EndpointId (line 1, column 35): "{17103e3f-3c6e-4677-bb17-3b267eb5be57}" is not a GUID like 17103e3f-3c6e-4677-bb17-3b267eb5be57"#,
        ],
    ),
    (
        "Statistics",
        r#"{"Timestamp": "yesterday"}"#,
        &[
            r#"/Timestamp (line 1, column 15): "yesterday" is not a time like 2024-02-29T12:34:56.789Z"#,
        ],
    ),
    (
        "RegistryValue",
        r#"{"BinaryValue": "="}"#,
        &[r#"/BinaryValue (line 1, column 17): "=" is not a base64 string"#],
    ),
];
