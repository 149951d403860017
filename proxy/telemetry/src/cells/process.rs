//! What is counted for workers, threads, and the process as a whole.

use super::{Cells, Family};
use crate::cell::histogram::Histogram;
use crate::cell::labelled::{CounterBy, SharedCounterBy, SharedCounterFromZeroBy};
use crate::cell::{
    Counter, Gauge, LateGauge, Series, SharedCounter, SharedDuration, SharedGauge, SharedRatio, Terms,
};
use crate::exposition::Heading;
use crate::labels::{
    ControlUpdate, ExportDrop, ExportFailure, LastGoodWrite, ReportOutcome, ScrapeOutcome, StreamEnd,
    UpgradeOutcome,
};

cells! {
    /// What one worker counts for itself.
    pub struct WorkerCells [] {
        /// Bytes of bodies that are kept now: for replays, for copies, and for authorization services.
        buffered_bytes: Gauge = "outrigger_buffered_bytes",
        /// Bodies that were not kept because as many bytes as may be were: they went on, and could not be sent again.
        buffering_refused: Counter = "outrigger_buffering_refused_total",
    }

    /// What is measured of the threads of one kind.
    pub struct EventLoopCells ["thread"] {
        /// How late a thread comes to what is due; a timer is late by up to a millisecond in any case.
        delay: Histogram = "outrigger_event_loop_delay_seconds",
    }

    /// What is told of a resource of which the process may have so much. One task writes at a time.
    pub struct PressureCells ["resource"] {
        /// How much of it is in use, of its limit.
        pressure: SharedRatio = "outrigger_overload_pressure_ratio",
        /// How many of what is counted are in use.
        used: LateGauge = "outrigger_overload_used",
        /// How many of them there may be.
        limit: LateGauge = "outrigger_overload_limit",
        /// How many bytes of what is measured in bytes are in use.
        used_bytes: LateGauge = "outrigger_overload_used_bytes",
        /// How many of them there may be.
        limit_bytes: LateGauge = "outrigger_overload_limit_bytes",
    }

    /// What is told of something that is done near a limit. One task writes at a time.
    pub struct OverloadActionCells ["action"] {
        /// How far it is done: 0 is not at all, 1 altogether.
        degree: SharedRatio = "outrigger_overload_action_ratio",
        /// Times that it began.
        begun: SharedCounter = "outrigger_overload_actions_begun_total",
    }

    /// What is told of remarks of one kind on the configuration in force. One task writes at a time.
    pub struct RemarkCells ["code"] {
        /// Remarks in the receipt of the configuration in force.
        remarks: SharedGauge = "outrigger_configuration_remarks",
    }

    /// What is counted for what one collector is sent, of one `signal`: `spans` or `logs`.
    pub struct ExportCells ["collector", "signal"] {
        /// Spans or log records that the collector took.
        exported: SharedCounter = "outrigger_telemetry_exported_total",
        /// Spans or log records that it did not get, or may not have got, by reason.
        dropped: SharedCounterFromZeroBy<ExportDrop, { ExportDrop::COUNT }> = "outrigger_telemetry_dropped_total",
        /// Requests to it that failed, by reason.
        failures: SharedCounterBy<ExportFailure, { ExportFailure::COUNT }> = "outrigger_telemetry_failures_total",
        /// Spans or log records that wait to be sent, or are being sent.
        queue: SharedGauge = "outrigger_telemetry_queue_length",
    }

    /// What is counted for the process as a whole; any thread may write, but for what is counted by a label, which one
    /// task writes each.
    pub struct ProcessMetrics [] {
        /// Configurations that were put in force.
        configuration_updates_accepted: SharedCounter = "outrigger_configuration_updates_accepted_total",
        /// Configurations that were refused; the one before stayed in force.
        configuration_updates_rejected: SharedCounter = "outrigger_configuration_updates_rejected_total",
        /// 1 while the file was refused as it was read last; pushes of a control plane are no file.
        configuration_file_refused: SharedGauge = "outrigger_configuration_file_refused",
        /// Number of the configuration in force, counted from the start of the process.
        configuration_generation: SharedGauge = "outrigger_configuration_generation",
        /// When a configuration was last put in force, in seconds since 1970.
        configuration_last_success: SharedGauge = "outrigger_configuration_last_success_timestamp_seconds",
        /// How often certificates, authorities or revocation lists changed while the process runs.
        material_generation: SharedGauge = "outrigger_identity_material_generation",
        /// Servers of the control plane that are configured; 0 where a file alone says what is in force.
        control_servers: SharedGauge = "outrigger_control_servers",
        /// 1 while there is a stream from a control plane that it has answered on.
        control_connected: SharedGauge = "outrigger_control_connected",
        /// Streams from control planes that ended or never began, by reason.
        control_streams_ended: CounterBy<StreamEnd, { StreamEnd::COUNT }> =
            "outrigger_control_streams_ended_total",
        /// Resources that came from a control plane, by what became of them.
        control_updates: CounterBy<ControlUpdate, { ControlUpdate::COUNT }> = "outrigger_control_updates_total",
        /// Reports to control planes of how endpoints stand here, by what became of them.
        control_reports: CounterBy<ReportOutcome, { ReportOutcome::COUNT }> = "outrigger_control_reports_total",
        /// When a control plane last said something, in seconds since 1970; 0 if it never did.
        control_last_response: SharedGauge = "outrigger_control_last_response_timestamp_seconds",
        /// Configurations of a control plane that gave way to a newer one while they waited for what they add to be ready.
        control_pushes_superseded: SharedCounter = "outrigger_control_pushes_superseded_total",
        /// Attempts to write the last good configuration of a control plane to disk, by what became of them.
        control_last_good_writes: CounterBy<LastGoodWrite, { LastGoodWrite::COUNT }> =
            "outrigger_control_last_good_writes_total",
        /// 1 while what is in force comes from the last good configuration on disk.
        control_from_disk: SharedGauge = "outrigger_control_from_disk",
        /// Resources whose last version was refused.
        control_resources_refused: SharedGauge = "outrigger_control_resources_refused",
        /// 1 while what the control plane sends does not go together with the file, and is not put in force.
        control_conflicting: SharedGauge = "outrigger_control_conflicting",
        /// Resources that wait for others.
        control_resources_waiting: SharedGauge = "outrigger_control_resources_waiting",
        /// Upgrades in place, by what became of them.
        upgrades_in_place: CounterBy<UpgradeOutcome, { UpgradeOutcome::COUNT }> =
            "outrigger_upgrades_in_place_total",
        /// How many upgrades in place have led to this process.
        upgrade_epoch: SharedGauge = "outrigger_upgrade_epoch",
        /// Listening sockets that this process did not bind itself.
        sockets_inherited: SharedGauge = "outrigger_sockets_inherited",
        /// Access log lines given to their sink.
        access_log_lines_written: SharedCounter = "outrigger_access_log_lines_written_total",
        /// Access log lines lost because their sink was slow, failed or closed.
        access_log_lines_dropped: SharedCounter = "outrigger_access_log_lines_dropped_total",
        /// Label sets beyond the limit, counted together under the label value other.
        label_sets_folded: SharedCounter = "outrigger_metric_label_sets_folded_total",
        /// Peers whose requests are counted under the source identity other, because there are too many identities.
        source_identities_folded: SharedCounter = "outrigger_downstream_identities_folded_total",
        /// Scrapes of the metrics that have ended, by what became of them.
        scrapes: SharedCounterBy<ScrapeOutcome, { ScrapeOutcome::COUNT }> = "outrigger_scrapes_total",
        /// Worker threads.
        workers: SharedGauge = "outrigger_workers",
        /// When the process started, in seconds since 1970.
        start_time: SharedGauge = "process_start_time_seconds",
        /// Processor time that all threads have used.
        cpu: SharedDuration = "process_cpu_seconds_total",
        /// Resident memory.
        resident_memory: SharedGauge = "process_resident_memory_bytes",
        /// Address space.
        virtual_memory: SharedGauge = "process_virtual_memory_bytes",
        /// Memory that the process may have by its control groups, or that the machine has if that is less.
        memory_limit: SharedGauge = "outrigger_memory_limit_bytes",
        /// Threads.
        threads: SharedGauge = "outrigger_threads",
        /// Open file descriptors.
        open_file_descriptors: SharedGauge = "process_open_fds",
        /// File descriptors that may be open at once.
        file_descriptors_max: SharedGauge = "process_max_fds",
    }
}
