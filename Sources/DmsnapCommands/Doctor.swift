import ArgumentParser
import Block
import DeviceMapper
import Glibc
import Sessions
import SystemPackage

struct Doctor: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "doctor",
        abstract: "Look at what dmsnap needs on this machine, and say what to mend.",
        discussion:
            "Ends with 0 if all is well, and with 69 if something keeps dmsnap from working.")

    func run() throws {
        var failed = false
        for finding in examine() {
            failed = failed || !finding.isWell
            try Output.print(
                "\(finding.isWell ? "ok      " : "problem ")\(Output.visible(finding.text))")
        }
        if failed { throw ExitCode(ExitStatus.noDeviceMapper.rawValue) }
    }

    private struct Finding {
        let isWell: Bool
        let text: String

        init(_ isWell: Bool, _ well: String, else problem: String) {
            self.isWell = isWell
            text = isWell ? well : problem
        }
    }

    private func examine() -> [Finding] {
        var findings = [
            Finding(geteuid() == 0, "running as root", else: "not root: run it with sudo")
        ]
        let layout = Layout()
        do {
            let mapper = try KernelDeviceMapper()
            findings.append(Finding(true, "device-mapper answers", else: ""))
            let targets = try mapper.targets()
            for type in [SnapshotOriginTarget.type, SnapshotTarget.type] {
                findings.append(
                    Finding(
                        targets.contains(type), "target \(type)",
                        else: "no target \(type) yet: run `modprobe dm-snapshot`"))
            }
            let suspended = try mapper.devices().filter { MapperNames.isOurs(uuid: $0.uuid) }
                .compactMap { DeviceName($0.name) }
                .filter { try mapper.info($0)?.isSuspended == true }
            for name in suspended {
                findings.append(
                    Finding(false, "", else: "\(name) is suspended: run `dmsetup resume \(name)`"))
            }
        } catch {
            findings.append(
                Finding(
                    false, "", else: "no device-mapper (\(error)): run `modprobe dm-mod`, as root"))
        }
        findings.append(
            Finding(
                Files.exists("/dev/loop-control"), "loop devices",
                else: "no /dev/loop-control: run `modprobe loop`"))
        findings.append(
            Finding(
                Files.exists("/run/udev/control"), "udevd is running",
                else: "udevd is not running: without it no rule opens a session"))
        let rules = ["/etc", "/usr/lib", "/usr/local/lib", "/lib"].map { $0 + "/udev/rules.d" }
        findings.append(
            Finding(
                rules.contains { Files.exists(FilePath($0).appending("59-dmsnap.rules")) },
                "the udev rule is installed",
                else: "59-dmsnap.rules is in no rules.d: run `make install`"))
        findings += examineService(layout)
        return findings
    }

    private func examineService(_ layout: Layout) -> [Finding] {
        var findings: [Finding] = []
        do {
            let service = try SnapshotService(kernel: HostKernel(), layout: layout)
            findings.append(
                Finding(
                    service.password.isSet, "the service has a password",
                    else: "the service has no password: run `dmsnap passwd`"))
            let devices = try service.status()
            if !devices.isEmpty {
                findings.append(
                    Finding(
                        try MonitorLauncher.isRunning(layout), "the monitor is running",
                        else: "the monitor is not running: run `systemctl start dmsnap-monitor`, "
                            + "or `dmsnap activate` on a device again"))
            }
            for device in devices {
                let isWell = device.state == .armed || device.state == .open
                findings.append(
                    Finding(
                        isWell, "\(device.device) is \(device.state.rawValue)",
                        else: "\(device.device) is \(device.state.rawValue)"))
            }
        } catch {
            findings.append(Finding(false, "", else: "\(error)"))
        }
        return findings
    }
}
