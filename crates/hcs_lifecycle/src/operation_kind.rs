//! Which API function an operation tracks (`HCS_OPERATION_TYPE`, reference page of the same name).

/// The kind of call that an operation tracks, with the numbers of `HCS_OPERATION_TYPE`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(i32)]
pub enum OperationKind {
    /// Not used yet.
    #[default]
    None = -1,
    /// `HcsEnumerateComputeSystems`.
    Enumerate = 0,
    /// `HcsCreateComputeSystem`.
    Create = 1,
    /// `HcsStartComputeSystem`.
    Start = 2,
    /// `HcsShutDownComputeSystem`.
    Shutdown = 3,
    /// `HcsPauseComputeSystem`.
    Pause = 4,
    /// `HcsResumeComputeSystem`.
    Resume = 5,
    /// `HcsSaveComputeSystem`.
    Save = 6,
    /// `HcsTerminateComputeSystem`.
    Terminate = 7,
    /// `HcsModifyComputeSystem`.
    Modify = 8,
    /// `HcsGetComputeSystemProperties`.
    GetProperties = 9,
    /// `HcsCreateProcess`.
    CreateProcess = 10,
    /// `HcsSignalProcess`, and `HcsTerminateProcess`, which is the same with SIGKILL and has no number of its own.
    SignalProcess = 11,
    /// `HcsGetProcessInfo`.
    GetProcessInfo = 12,
    /// `HcsGetProcessProperties`.
    GetProcessProperties = 13,
    /// `HcsModifyProcess`.
    ModifyProcess = 14,
    /// `HcsCrashComputeSystem`.
    Crash = 15,
}

impl OperationKind {
    /// All of them, in the order of their numbers.
    pub const ALL: [Self; 17] = [
        Self::None,
        Self::Enumerate,
        Self::Create,
        Self::Start,
        Self::Shutdown,
        Self::Pause,
        Self::Resume,
        Self::Save,
        Self::Terminate,
        Self::Modify,
        Self::GetProperties,
        Self::CreateProcess,
        Self::SignalProcess,
        Self::GetProcessInfo,
        Self::GetProcessProperties,
        Self::ModifyProcess,
        Self::Crash,
    ];

    /// The number in `HCS_OPERATION_TYPE`.
    #[must_use]
    pub const fn number(self) -> i32 {
        self as i32
    }

    /// Whether the result of such a call comes with an `HCS_PROCESS_INFORMATION`.
    #[must_use]
    pub const fn has_process_information(self) -> bool {
        matches!(self, Self::CreateProcess | Self::GetProcessInfo)
    }
}
