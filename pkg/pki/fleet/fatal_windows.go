package fleet

import "syscall"

// ERROR_TOO_MANY_OPEN_FILES, ERROR_WRITE_PROTECT, ERROR_HANDLE_DISK_FULL, ERROR_DISK_FULL, ERROR_IO_DEVICE and
// ERROR_DISK_QUOTA_EXCEEDED of winerror.h.
var fatalErrnos = []syscall.Errno{4, 19, 39, 112, 1117, 1295}
