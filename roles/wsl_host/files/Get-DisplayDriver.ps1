<#
.SYNOPSIS
    Tells which NVIDIA display adapters Windows has, and which driver each runs with.
.DESCRIPTION
    Run by ansible.windows.win_powershell; reads only. nvidia-smi.exe is not asked: with a broken driver it hangs.
    Each adapter has "name", "version" in NVIDIA's own form (581.29 is the end of Windows' 32.0.15.8129), "store",
    its folder in the driver store, which the guest sees under the same name, and "error", the code that Device
    Manager shows (0 is well).
#>
[CmdletBinding(SupportsShouldProcess)]
param()

Set-StrictMode -Version 2.0
$ErrorActionPreference = 'Stop'
$Ansible.Changed = $false

$adapters = @(
    Get-CimInstance -ClassName Win32_VideoController | Where-Object { $_.Name -like 'NVIDIA*' } | ForEach-Object {
        $version = ''
        if ([string]$_.DriverVersion -match '(\d)\.(\d\d)(\d\d)$') {
            $version = "$($Matches[1])$($Matches[2]).$($Matches[3])"
        }
        $store = ''
        if ([string]$_.InstalledDisplayDrivers -match '\\FileRepository\\([^\\]+)\\') {
            $store = $Matches[1]
        }
        @{ name = $_.Name; version = $version; store = $store; error = [int]$_.ConfigManagerErrorCode }
    }
)

$Ansible.Result = @{ adapters = $adapters }
