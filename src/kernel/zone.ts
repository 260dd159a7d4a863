/** The local time zone, as the C library knows it (TZ, /etc/localtime). */
declare function kZoneOffset(seconds: number): number;

/** Seconds local time is ahead of UTC at a moment given in Unix time; 0 where no zone is known. */
export function zoneOffset(seconds: number): number {
  return kZoneOffset(seconds);
}
