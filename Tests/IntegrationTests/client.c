// A program as a user of the C library would write it.
#include <dmsnap.h>
#include <stdio.h>

int main(int count, char **arguments) {
    if (count != 3) return 2;
    const char *device = arguments[1];
    const char *password = arguments[2];
    printf("null %d\n", activate_snapshot(NULL, password));
    printf("wrong %d\n", activate_snapshot(device, "no"));
    fprintf(stderr, "%s\n", dmsnap_error());
    printf("missing %d\n", activate_snapshot("/dev/nothing", password));
    printf("activate %d\n", activate_snapshot(device, password));
    printf("again %d\n", activate_snapshot(device, password));
    printf("deactivate %d\n", deactivate_snapshot(device, password));
    printf("not active %d\n", deactivate_snapshot(device, password));
    printf("sys_activate %d\n", sys_activate_snapshot(device, password));
    printf("sys_deactivate %d\n", sys_deactivate_snapshot(device, password));
    return 0;
}
