<#
.SYNOPSIS
    Tells whether a WSL distribution exists and runs, and at which address Windows reaches it.
.DESCRIPTION
    Run by ansible.windows.win_powershell; reads only. A distribution that is stopped is not started: it would
    end again a few seconds later, and hide that nothing keeps it running.
    The result has "installed" (is there a wsl.exe), "distributions", "running" and "address".
.PARAMETER Distribution
    The name as `wsl --list` shows it.
#>
[CmdletBinding(SupportsShouldProcess)]
param(
    [Parameter(Mandatory = $true)]
    [string]
    $Distribution
)

Set-StrictMode -Version 2.0
$ErrorActionPreference = 'Stop'
$Ansible.Changed = $false

# Without it wsl.exe writes UTF-16, and every second character arrives as a null.
$env:WSL_UTF8 = '1'

$found = @{ installed = $false; distributions = @(); running = $false; address = '' }

function Invoke-Wsl {
    param([string[]]$Arguments)

    # What wsl.exe says on stderr is no reason to stop: its exit code is.
    $ErrorActionPreference = 'Continue'
    $lines = @(& wsl.exe @Arguments | ForEach-Object { $_.Trim() } | Where-Object { $_ })
    # With no distribution at all, wsl.exe explains itself in prose and exits with an error.
    if ($LASTEXITCODE -ne 0) {
        return @()
    }
    return $lines
}

if (Get-Command -Name wsl.exe -CommandType Application -ErrorAction SilentlyContinue) {
    $found.installed = $true
    $found.distributions = @(Invoke-Wsl -Arguments @('--list', '--quiet'))
    $running = @(Invoke-Wsl -Arguments @('--list', '--running', '--quiet'))
    $found.running = $running -contains $Distribution
    if ($found.running) {
        $line = @(Invoke-Wsl -Arguments @('--distribution', $Distribution, '--exec', 'hostname', '-I'))
        # The first address is the one of eth0; the bridges of Docker come after it.
        $addresses = @(($line -join ' ') -split '\s+' | Where-Object { $_ -match '^\d+(\.\d+){3}$' })
        if ($addresses.Count -gt 0) {
            $found.address = $addresses[0]
        }
    }
}

$Ansible.Result = $found
