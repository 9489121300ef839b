<#
.SYNOPSIS
    What WSL and the cards in it do on this Windows.
#>
Set-StrictMode -Version 2.0
$ErrorActionPreference = 'Stop'

function Get-GuestResult {
    param([string]$Distribution, [string]$Container)

    $asked = 'to confirm'
    if ($null -eq (Get-Command -Name wsl.exe -CommandType Application -ErrorAction SilentlyContinue)) {
        ConvertTo-Result -Part $asked -Check 'WSL' -Found 'no wsl.exe' -Outcome 'not applicable'
        return
    }
    $tasks = @(Get-ScheduledTask | Where-Object { $_.TaskPath -eq '\ComfyStack\' })
    foreach ($task in $tasks) {
        $found = "$($task.State), as $($task.Principal.UserId), logon $($task.Principal.LogonType)"
        Compare-Result -Part $asked -Check "a batch logon starts WSL: task $($task.TaskName)" -Found $found `
            -Expected 'Ready or Running, logon Password' -Pattern '^(Ready|Running).*Password'
    }
    # Only what this account sees; a stopped guest is not started by asking.
    $ErrorActionPreference = 'Continue'
    $running = @(& wsl.exe --list --running --quiet | ForEach-Object { $_.Trim() })
    if ($running -notcontains $Distribution) {
        ConvertTo-Result -Part $asked -Check 'the cards in the guest' -Outcome 'not applicable' `
            -Found "$Distribution does not run, or belongs to another account: $($running -join ', ')"
        return
    }
    $cards = @(& wsl.exe --distribution $Distribution --exec /usr/lib/wsl/lib/nvidia-smi -L)
    Compare-Result -Part $asked -Check 'GeForce cards in WSL on this Windows' -Found ($cards -join '; ') `
        -Expected 'a GPU each line' -Pattern 'GPU \d+: .*GeForce'
    $inside = @('--distribution', $Distribution, '--user', 'root', '--exec', 'docker', 'exec', $Container)
    $pin = [string](& wsl.exe @inside printenv CUDA_VISIBLE_DEVICES)
    $count = [string](& wsl.exe @inside python3 -c 'import torch; print(torch.cuda.device_count())')
    Compare-Result -Part $asked -Check 'a UUID in CUDA_VISIBLE_DEVICES selects one card' -Found "$pin, $count seen" `
        -Expected 'GPU-..., 1 seen' -Pattern '^GPU-\S+, 1 seen$'
}

Export-ModuleMember -Function @('Get-GuestResult')
