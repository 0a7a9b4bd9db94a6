import Block
import DeviceMapper
import SystemPackage
import Testing

@testable import Sessions

@Suite struct ErrorTests {
    static let table: [(SessionsError, Sessions.ExitStatus)] = [
        (.unsuitable(device: "d", reason: "r"), .usage),
        (.configuration(path: "d", reason: "r"), .usage),
        (.noSuchDevice("d"), .noInput), (.notActivated("d"), .noInput),
        (.noSuchSession("d"), .noInput),
        (.missingDirectory(device: "d", directory: "d"), .noInput),
        (.busy(device: "d", reason: "r", advice: "a"), .busy),
        (.invalidSession(session: "d", reason: "r"), .damaged),
        (.damagedRecord(path: "d", reason: "r"), .damaged),
        (.damagedStore(session: "d", reason: "r"), .damaged),
        (.damagedChunks(session: "d", reason: "r"), .damaged),
        (.brokenChain(device: "d", session: "s", reason: "r"), .damaged),
        (.otherDevice(device: "d", session: "s"), .damaged),
        (.changedMeanwhile(device: "d"), .damaged),
        (.notRoot("d"), .denied), (.noPassword, .denied), (.wrongPassword, .denied),
        (.passfile(path: "d", reason: "r"), .denied),
        (.noDeviceMapper("d"), .noDeviceMapper), (.monitor("d"), .ioError),
        (.interrupted(session: "s", device: "d", detail: "x", advice: "y"), .ioError),
        (.restoreFailed(session: "s", device: "d", reason: "r"), .ioError),
        (.commitFailed(device: "d", reason: "r"), .ioError),
        (.internalFault("d"), .software),
        (.system(SystemError(operation: "o", path: "d", errno: .ioError)), .ioError),
        (.system(SystemError(operation: "o", path: "d", errno: .noSuchFileOrDirectory)), .noInput),
        (.system(SystemError(operation: "o", path: "d", errno: .permissionDenied)), .denied),
        (.system(SystemError(operation: "o", path: "d", errno: .resourceBusy)), .busy),
        (.deviceMapper(DeviceMapperError(operation: .load, name: "d", errno: .ioError)), .ioError),
        (
            .deviceMapper(DeviceMapperError(operation: .load, name: "d", errno: .resourceBusy)),
            .busy
        ),
        (.rollback(cause: .noSuchDevice("d"), failures: ["f"]), .noInput),
    ]

    @Test("Every error has the exit status of the contract, and names its thing", arguments: table)
    func status(error: SessionsError, status: Sessions.ExitStatus) {
        #expect(error.exitStatus == status)
        #expect(!error.description.contains("\n"))
        switch error {
        case .noPassword, .wrongPassword: #expect(error.description.contains("dmsnap passwd"))
        default: #expect(error.description.contains("d"))
        }
    }

    @Test("Codes are those of sysexits.h")
    func codes() {
        let codes = [
            Sessions.ExitStatus.success, .usage, .damaged, .noInput, .noDeviceMapper, .software,
            .ioError,
            .busy, .denied,
        ]
        #expect(codes.map(\.rawValue) == [0, 64, 65, 66, 69, 70, 74, 75, 77])
    }

    @Test("What failed while undoing is said behind the cause, and every step is tried")
    func undo() {
        struct Failure: Error {}
        var undo = Undo()
        var order: [Int] = []
        undo.add("first") { order.append(1) }
        undo.add("second") {
            order.append(2)
            throw Failure()
        }
        undo.add("third") { order.append(3) }
        let error = undo.run(after: SessionsError.noSuchDevice("sdx"))
        #expect(order == [3, 2, 1])
        #expect(error.description.hasPrefix("sdx"))
        #expect(error.description.contains("second: Failure()"))
        #expect(error.exitStatus == .noInput)
    }
}
