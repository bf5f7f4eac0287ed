#!/bin/bash
#SBATCH --job-name=gw-01JD0000000000000000000000-1
#SBATCH --comment=gw:ada:c0ffee
#SBATCH --chdir=/scratch/gateway/ada/01JD0000000000000000000000/1
#SBATCH --output=stdout.0.txt
#SBATCH --error=stderr.0.txt
#SBATCH --open-mode=append
#SBATCH --export=NONE
#SBATCH --signal=B:USR1@600
#SBATCH --no-requeue
#SBATCH --time=0-01:00:00
#SBATCH --cpus-per-task=1

# Called as: job.sh TRY, and TRY is 1 when a person leaves it out. It runs at most once for each
# try, whatever was submitted how often.
trap 'exit 143' TERM
asked=
trap 'asked=1' USR1
umask 077
cd -- /scratch/gateway/ada/01JD0000000000000000000000/1 || exit 1

# Only what the site lets through, and what is set here, reaches the fit.
while IFS= read -r name; do
    case $name in
        HOME | USER | LOGNAME | SHELL | PATH | LANG | LC_* | TZ | TMPDIR | HOSTNAME) ;;
        SLURM_* | SLURMD_* | CUDA_VISIBLE_DEVICES | ROCR_VISIBLE_DEVICES) ;;
        MODULE* | LOADEDMODULES | _LMFILES_ | LMOD_* | BASH_ENV) ;;
        *) unset -v "$name" 2> /dev/null ;;
    esac
done < <(compgen -e)
export PATH="${PATH:-/usr/local/bin:/usr/bin:/bin}"
export MPLBACKEND=Agg OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 MKL_NUM_THREADS=1

# The claim: a hard link, so that the first owner of this try has it for good. The same owner
# again is a requeue or another element of the array; any other exits and leaves no trace.
attempt=${1:-1}
owner=${SLURM_ARRAY_JOB_ID:-$SLURM_JOB_ID}
task=${SLURM_ARRAY_TASK_ID:-0}
if [[ ! $attempt =~ ^[0-9]+$ || ! $owner =~ ^[0-9]+$ || ! $task =~ ^[0-9]+$ ]]; then
    echo "usage: job.sh [TRY], run by a scheduler that sets SLURM_JOB_ID" >&2
    exit 1
fi
mine=.claim.$attempt.$owner.$task
printf '%s\n' "$owner" > "$mine" || exit 1
ln "$mine" "claim.$attempt" 2> /dev/null
rm -f -- "$mine"
IFS= read -r holder < "claim.$attempt" || exit 1
[[ $holder == "$owner" ]] || exit 0

# A controller that was killed may begin again what has ended: it has ended all the same.
ended='^\{"rc": ([0-9]+), .*"owner": "'$owner'"'
if [[ ${SLURM_RESTART_COUNT:-0} == 0 && -f exit.$task.json && $(< "exit.$task.json") =~ $ended ]]; then
    exit "${BASH_REMATCH[1]}"
fi

printf -v start '%(%s)T' -1
driver=
where=

finish() {
    local rc=$? file=exit.$task.json end
    trap : TERM USR1
    printf -v end '%(%s)T' -1
    printf '{"rc": %d, "end": %d, "owner": "%s", "host": "%s", "start": %d%s}\n' \
        "$rc" "$end" "$owner" "${HOSTNAME//[^A-Za-z0-9.-]/_}" "$start" "$where" > "$file.part" &&
        mv -f -- "$file.part" "$file"
    exit "$rc"
}

# A program in the background starts with INT ignored: asked too early, it would never stop.
can_stop() {
    local name mask
    [[ -s lines.$task ]] && return 1 # shell lines of expert mode, which come before it
    while read -r name mask; do
        [[ $name == SigCgt: ]] && (((16#$mask & 2) != 0)) && return 0
    done < "/proc/$driver/status"
    return 1
} 2> /dev/null

# The time is nearly up, or somebody wants what there is: one INT, since a second one aborts.
ask_to_stop() {
    trap : USR1
    for _ in {1..3000}; do
        can_stop && break
        kill -0 "$driver" 2> /dev/null || return
        sleep 0.1
    done
    kill -INT "$driver" 2> /dev/null
}

# Cancelled, or out of time: the driver may save what it has, but not for long.
end_now() {
    trap : TERM USR1
    if [[ -n $driver ]] && kill -TERM "$driver" 2> /dev/null; then
        for _ in {1..100}; do
            kill -0 "$driver" 2> /dev/null || break
            sleep 0.1
        done
    fi
    exit 143
}

rm -f -- "exit.$task.json"
trap finish EXIT
trap end_now TERM

# The driver's status comes through a pipe: bash can lose that of a child which ends while `wait`
# is interrupted, and `read` is not so easily disturbed.
exec {out}>&1
exec {report}< <(
    trap : TERM
    /opt/bumps/bin/python3 driver.pyz . >&"$out" {out}>&- &
    echo "$!"
    wait "$!"
    echo "$?"
)
read -r driver <&"$report" || exit 1
trap ask_to_stop USR1
[[ -z $asked ]] || ask_to_stop
read -r rc <&"$report" || exit 1
exit "$rc"
