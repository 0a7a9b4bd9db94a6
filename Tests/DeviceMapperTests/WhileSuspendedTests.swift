import Block
import SystemPackage
import Testing

@testable import DeviceMapper

/// A device left suspended blocks everybody who touches its file system, in D state: whatever
/// happens under a suspend, a resume follows it.
@Suite struct WhileSuspendedTests {
    struct Cause: Error, Equatable {}

    let name: DeviceName
    let transaction = DeviceMapperTransaction()

    init() throws {
        name = try #require(DeviceName("origin"))
    }

    private func failure(
        _ operation: DeviceMapperError.Operation, _ errno: Errno
    ) -> DeviceMapperError {
        DeviceMapperError(operation: operation, name: "origin", errno: errno)
    }

    private func run<Result>(
        _ mapper: FakeDeviceMapper, freezing: Bool = true, _ body: () throws -> Result
    ) throws -> Result {
        try mapper.whileSuspended(name, in: transaction, freezing: freezing) {
            mapper.note(.body)
            return try body()
        }
    }

    private var once: [FakeDeviceMapper.Call] {
        [.standGuard(name), .suspend(name, freezing: true), .body, .resume(name, .disk)]
    }

    @Test("The body runs between suspend and resume, and its result is given")
    func success() throws {
        let mapper = FakeDeviceMapper()
        #expect(try run(mapper) { 42 } == 42)
        #expect(mapper.calls == once)
    }

    @Test("Freezing the file system is left out when asked to")
    func withoutFreezing() throws {
        let mapper = FakeDeviceMapper()
        try run(mapper, freezing: false) {}
        #expect(
            mapper.calls == [
                .standGuard(name), .suspend(name, freezing: false), .body, .resume(name, .disk),
            ])
    }

    @Test("When the body fails the device is resumed and the body's error is thrown")
    func bodyFails() {
        let mapper = FakeDeviceMapper()
        #expect(throws: Cause()) { try run(mapper) { throw Cause() } }
        #expect(mapper.calls == once)
    }

    @Test("When suspending fails the body doesn't run and nothing is resumed")
    func suspendFails() {
        let failure = failure(.suspend, .ioError)
        let mapper = FakeDeviceMapper(suspendFailure: failure)
        #expect(throws: failure) { try run(mapper) {} }
        #expect(mapper.calls == [.standGuard(name), .suspend(name, freezing: true)])
    }

    @Test("Without a guard nothing is suspended")
    func noGuard() {
        let failure = failure(.guard, .noMemory)
        let mapper = FakeDeviceMapper(guardFailure: failure)
        #expect(throws: failure) { try run(mapper) {} }
        #expect(mapper.calls == [.standGuard(name)])
    }

    @Test("A resume that fails is tried once more, and then all is well")
    func resumeFailsOnce() throws {
        let mapper = FakeDeviceMapper(resumeFailures: [failure(.resume, .noMemory)])
        #expect(try run(mapper) { 42 } == 42)
        #expect(mapper.calls == once + [.resume(name, .disk)])
    }

    @Test("A body's error survives a resume that succeeds at the second try only")
    func bodyFailsAndResumeFailsOnce() {
        let mapper = FakeDeviceMapper(resumeFailures: [failure(.resume, .noMemory)])
        #expect(throws: Cause()) { try run(mapper) { throw Cause() } }
        #expect(mapper.calls == once + [.resume(name, .disk)])
    }

    @Test("When resuming fails for good its error is thrown, not the result given")
    func resumeFails() {
        let mapper = FakeDeviceMapper(resumeFailures: [
            failure(.resume, .noMemory), failure(.resume, .ioError),
        ])
        #expect(throws: failure(.resume, .ioError)) { try run(mapper) { 42 } }
        #expect(mapper.calls == once + [.resume(name, .disk)])
    }

    @Test(
        "When the body and resuming fail the error has both and says that the device is suspended")
    func bothFail() throws {
        let last = failure(.resume, .ioError)
        let mapper = FakeDeviceMapper(resumeFailures: [failure(.resume, .noMemory), last])
        let error = try #require(
            #expect(throws: ResumeFailure.self) { try run(mapper) { throw Cause() } })
        #expect(error.cause as? Cause == Cause())
        #expect(error.resume as? DeviceMapperError == last)
        #expect(error.description.contains("\(Cause())"))
        #expect(error.description.contains("\(last)"))
        #expect(error.description.contains("dmsetup resume"))
        #expect(mapper.calls == once + [.resume(name, .disk)])
    }
}

/// Several at one instant.
extension WhileSuspendedTests {
    private func names() throws -> (DeviceName, DeviceName) {
        (try #require(DeviceName("data")), try #require(DeviceName("log")))
    }

    @Test("Of several every guard stands before the first suspend, and they are resumed backwards")
    func several() throws {
        let mapper = FakeDeviceMapper()
        let (data, log) = try names()
        let result = try mapper.whileSuspended([data, log], in: transaction) {
            mapper.note(.body)
            return 42
        }
        #expect(result == 42)
        #expect(
            mapper.calls == [
                .standGuard(log), .standGuard(data), .suspend(data, freezing: true),
                .suspend(log, freezing: true), .body, .resume(log, .disk), .resume(data, .disk),
            ])
    }

    @Test("When the second can't be suspended the first is resumed, and the body doesn't run")
    func secondFails() throws {
        let failure = failure(.suspend, .resourceBusy)
        let (data, log) = try names()
        let mapper = FakeDeviceMapper(suspendFailure: failure, of: log)
        #expect(throws: failure) {
            try mapper.whileSuspended([data, log], in: transaction) { mapper.note(.body) }
        }
        #expect(
            mapper.calls == [
                .standGuard(log), .standGuard(data), .suspend(data, freezing: true),
                .suspend(log, freezing: true), .resume(data, .disk),
            ])
    }

    @Test("When the second can't be resumed the first is, and it is said")
    func secondStaysSuspended() throws {
        let failures = [failure(.resume, .noMemory), failure(.resume, .ioError)]
        let (data, log) = try names()
        let mapper = FakeDeviceMapper(resumeFailures: failures)
        #expect(throws: failures[1]) {
            try mapper.whileSuspended([data, log], in: transaction) { 42 }
        }
        #expect(
            mapper.calls.suffix(3) == [
                .resume(log, .disk), .resume(log, .disk), .resume(data, .disk),
            ])
    }
}

@Suite struct DeviceMapperErrorTests {
    @Test("An error names the device, the operation, the reason, and what libdevmapper said")
    func description() {
        let plain = DeviceMapperError(operation: .resume, name: "a b", errno: .resourceBusy)
        #expect(
            plain.description == "device-mapper device a b: resume: Device or resource busy")
        let more = DeviceMapperError(
            operation: .version, name: "", errno: .noSuchAddressOrDevice, message: "no driver")
        #expect(
            more.description == "device-mapper: version: No such device or address (no driver)")
    }

    @Test("Errors are told apart by each of their parts")
    func equality() {
        let error = DeviceMapperError(operation: .load, name: "a", errno: .ioError, message: "m")
        #expect(
            error == DeviceMapperError(operation: .load, name: "a", errno: .ioError, message: "m"))
        #expect(
            error != DeviceMapperError(operation: .table, name: "a", errno: .ioError, message: "m"))
        #expect(
            error != DeviceMapperError(operation: .load, name: "b", errno: .ioError, message: "m"))
        #expect(
            error != DeviceMapperError(operation: .load, name: "a", errno: .noMemory, message: "m"))
        #expect(error != DeviceMapperError(operation: .load, name: "a", errno: .ioError))
    }
}

@Suite struct SuspendGuardTests {
    @Test("No guard at all resumes nothing, and is let go of without a word")
    func none() {
        SuspendGuard().dismiss()
        let isResumed = SuspendGuard().resume()
        #expect(!isResumed)
        _ = SuspendGuard()
    }

    @Test("There is no guard over a device that isn't there, or without device-mapper")
    func missing() throws {
        let name = try #require(DeviceName("no such device"))
        let error = try #require(
            #expect(throws: DeviceMapperError.self) { try SuspendGuard(over: name).dismiss() })
        #expect(error.operation == .guard)
        #expect(error.name == "no such device")
    }
}
